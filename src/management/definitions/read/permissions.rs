//! The sections `permissions` and `topic_permissions`.

use super::{super::fields::Fields, Context};
use crate::model::{
    access::{Permissions, TopicPermissions},
    error::DefinitionsError,
    name::Name,
};

pub(in super::super) struct PermissionItem {
    pub(in super::super) user: Name,
    pub(in super::super) vhost: Name,
    pub(in super::super) permissions: Permissions,
}

pub(in super::super) struct TopicPermissionItem {
    pub(in super::super) user: Name,
    pub(in super::super) vhost: Name,
    pub(in super::super) permissions: TopicPermissions,
}

impl PermissionItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<PermissionItem, DefinitionsError> {
        context.check_known(item, &["user", "vhost", "configure", "write", "read"]);
        Ok(PermissionItem {
            user: item.name("user")?,
            vhost: context.vhost(item)?,
            permissions: Permissions::new(
                item.text("configure")?,
                item.text("write")?,
                item.text("read")?,
            ),
        })
    }
}

impl TopicPermissionItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<TopicPermissionItem, DefinitionsError> {
        context.check_known(item, &["user", "vhost", "exchange", "write", "read"]);
        Ok(TopicPermissionItem {
            user: item.name("user")?,
            vhost: context.vhost(item)?,
            permissions: TopicPermissions::new(
                item.text("exchange")?,
                item.text("write")?,
                item.text("read")?,
            ),
        })
    }
}
