//! The section `alias_queues`, which only leveret's own form has.

use super::{super::fields::Fields, Context};
use crate::model::{descriptions::AliasQueue, error::DefinitionsError, name::Name};

pub(in super::super) struct AliasQueueItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) alias: AliasQueue,
}

impl AliasQueueItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<AliasQueueItem, DefinitionsError> {
        context.check_known(item, &["vhost", "name", "target", "target_type"]);
        let vhost = context.vhost(item)?;
        let (name, target) = (item.name("name")?, item.name("target")?);
        for (key, value) in [("name", &name), ("target", &target)] {
            if value.is_empty() {
                let reason = "it is empty, expected 1 to 255 bytes";
                return Err(DefinitionsError::new(item.path.key(key), reason));
            }
        }
        let alias = match item.text("target_type")? {
            "queue" => AliasQueue::of_queue(name.as_str(), target.as_str()),
            "exchange" => AliasQueue::of_exchange(name.as_str(), target.as_str()),
            other => {
                let reason = format!("'{other}' is none of queue, exchange");
                let path = item.path.key("target_type");
                return Err(DefinitionsError::new(path, reason));
            }
        };
        Ok(AliasQueueItem { vhost, alias })
    }
}
