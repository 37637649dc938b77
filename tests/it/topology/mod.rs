//! Declaring, and asking for the route of a message.

mod declare;
mod route;
