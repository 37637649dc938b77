//! The section `users`.

use super::{
    super::{fields::Fields, json::Json},
    Context,
};
use crate::model::{
    access::{HashingAlgorithm, PasswordHash, User, UserLimits},
    error::DefinitionsError,
};

pub(in super::super) struct UserItem {
    pub(in super::super) user: User,
}

const KNOWN: [&str; 6] = [
    "name",
    "password_hash",
    "password",
    "hashing_algorithm",
    "tags",
    "limits",
];

impl UserItem {
    pub(super) fn read(
        item: &Fields<'_>,
        context: &mut Context<'_>,
    ) -> Result<UserItem, DefinitionsError> {
        context.check_known(item, &KNOWN);
        let name = item.name("name")?;
        context.check_text(item.path.key("name"), &name);
        let Some(tags) = item.texts("tags")? else {
            return Err(item.missing("tags"));
        };
        let user = User::new(name.as_str()).tags(tags).limits(limits(item)?);
        let hash = item.optional_text("password_hash")?;
        let password = item.optional_text("password")?;
        let algorithm = item.optional_text("hashing_algorithm")?;
        let user = match (hash, password) {
            (Some(_), Some(_)) => {
                let reason = "there is a `password_hash`, too";
                return Err(DefinitionsError::new(item.path.key("password"), reason));
            }
            (None, Some(password)) => user.password(password),
            (None, None) => user,
            (Some(hash), None) => {
                let algorithm = algorithm.map_or(HashingAlgorithm::default(), |module| {
                    HashingAlgorithm::named(module)
                });
                let hash = PasswordHash::from_base64(hash, algorithm).map_err(|error| {
                    DefinitionsError::caused(item.path.key("password_hash"), error)
                })?;
                user.password_hash(hash)
            }
        };
        Ok(UserItem { user })
    }
}

fn limits(item: &Fields<'_>) -> Result<UserLimits, DefinitionsError> {
    let mut limits = UserLimits::new();
    let json = match item.get("limits") {
        None => return Ok(limits),
        Some(Json::Array(values)) if values.is_empty() => return Ok(limits),
        Some(json) => json,
    };
    let fields = Fields::of(item.path.key("limits"), json)?;
    for name in fields.names() {
        limits = match (name, fields.integer(name)?) {
            ("max-connections", Some(limit)) => limits.max_connections(limit),
            ("max-channels", Some(limit)) => limits.max_channels(limit),
            _ => {
                let reason = "a user has the limits max-connections and max-channels";
                return Err(DefinitionsError::new(fields.path.key(name), reason));
            }
        };
    }
    Ok(limits)
}
