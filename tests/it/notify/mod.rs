//! Notifications: notifiers, listeners, filters, drivers.

mod drivers;
mod filters;
mod listeners;
mod model;
mod notifiers;
