//! Users, their passwords, permissions and limits, and the metadata of virtual hosts.

mod credentials;
mod limits;
mod password;
mod permissions;
mod user;
mod vhost_metadata;

pub(crate) use self::limits::reached;
pub use self::{
    credentials::Credentials,
    limits::{UserLimits, VhostLimits},
    password::{HashingAlgorithm, PasswordHash},
    permissions::{Permissions, TopicPermissions},
    user::User,
    vhost_metadata::VhostMetadata,
};
