//! The section `budgets`, which only leveret's own form has.

use super::{super::fields::Fields, Context};
use crate::model::{descriptions::Budget, error::DefinitionsError, name::Name};

pub(in super::super) struct BudgetItem {
    pub(in super::super) vhost: Name,
    pub(in super::super) budget: Budget,
}

impl BudgetItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<BudgetItem, DefinitionsError> {
        context.check_known(item, &["vhost", "name", "limit", "policy", "whole_vhost"]);
        let vhost = context.vhost(item)?;
        let name = item.name("name")?;
        let Some(limit) = item.integer("limit")? else {
            return Err(item.missing("limit"));
        };
        let limit = u64::try_from(limit)
            .map_err(|_| DefinitionsError::new(item.path.key("limit"), "it is negative"))?;
        let mut budget = Budget::new(name.as_str(), limit);
        match item.optional_text("policy")? {
            None | Some("reject") => {}
            Some("block") => budget = budget.block(),
            Some(other) => {
                let reason = format!("'{other}' is none of reject, block");
                return Err(DefinitionsError::new(item.path.key("policy"), reason));
            }
        }
        if item.flag("whole_vhost")? == Some(true) {
            budget = budget.whole_vhost();
        }
        Ok(BudgetItem { vhost, budget })
    }
}
