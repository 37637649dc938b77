//! Routing of published messages, and messages that come back unrouted or refused.

mod batches;
mod exchange_types;
mod forms;
mod properties;
mod refused;
mod remembered;
mod retry;
mod routers;
mod routes;
