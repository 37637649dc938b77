//! Every verb against every permission.
