//! Declaring, and asking for the route of a message.

mod all_or_nothing;
mod declare;
mod plain_names;
mod route;
