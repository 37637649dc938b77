//! Declaring, and asking for the route of a message.

mod all_or_nothing;
mod auto_delete;
mod declare;
mod explain;
mod line_ends;
mod plain_names;
mod policies;
mod queue_kinds;
mod route;
mod subscribe;
mod triggers;
