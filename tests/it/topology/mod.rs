//! Declaring, and asking where messages would go.

mod all_or_nothing;
mod declare;
mod plain_names;
mod route;
