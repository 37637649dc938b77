//! Declaring, and asking where messages would go.

mod declare;
mod plain_names;
mod route;
