//! Declaring, and asking where messages would go.

mod declare;
mod route;
