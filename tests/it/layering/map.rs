//! Resolves a written path to the module that defines its target.

use std::collections::BTreeMap;

use super::source::{PathUse, Source};

/// The modules of the crate, and the names that each module declares or imports.
pub struct Map {
    modules: Vec<Vec<String>>,
    tests: Vec<Vec<String>>,
    /// Maps a module and a name to the path that the name stands for. Private imports count,
    /// because a child module sees the imports of its parents.
    names: BTreeMap<(Vec<String>, String), Vec<String>>,
}

impl Map {
    pub fn of<'a>(sources: impl Iterator<Item = (&'a Vec<String>, &'a Source)> + Clone) -> Map {
        let mut map = Map {
            modules: Vec::new(),
            tests: Vec::new(),
            names: BTreeMap::new(),
        };
        for (module, source) in sources.clone() {
            map.modules.push(module.clone());
            map.modules.extend(source.modules.iter().cloned());
            map.tests.extend(source.test_modules.iter().cloned());
        }
        for path in sources.flat_map(|(_, source)| &source.paths) {
            if let (Some(name), Some(target)) = (&path.name, map.absolute(path)) {
                map.names
                    .insert((path.module.clone(), name.clone()), target);
            }
        }
        map
    }

    pub fn is_test(&self, module: &[String]) -> bool {
        self.tests.iter().any(|test| module.starts_with(test))
    }

    /// The path from the crate's root. `None` if the path leads out of the crate.
    fn absolute(&self, path: &PathUse) -> Option<Vec<String>> {
        let mut rest = &path.segments[..];
        let mut base = path.module.clone();
        match rest.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            Some("super") => {
                while rest.first().is_some_and(|first| first == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            Some(first) => {
                base.push(first.to_owned());
                if !self.modules.contains(&base) {
                    return None;
                }
                base.pop();
            }
            None => return None,
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The module that defines the target of a path. Follows re-exports.
    pub fn resolve(&self, path: &PathUse) -> Option<Vec<String>> {
        let mut path = self.absolute(path)?;
        // A chain of re-exports is short. The bound only ends a cycle.
        for _ in 0..8 {
            let mut place = Vec::new();
            let mut rest = path.iter();
            let next = loop {
                let Some(segment) = rest.next() else {
                    return Some(place);
                };
                let key = (place.clone(), segment.clone());
                place.push(segment.clone());
                if self.modules.contains(&place) {
                    continue;
                }
                place.pop();
                break self.names.get(&key);
            };
            match next {
                Some(target) => path = target.iter().chain(rest).cloned().collect(),
                None => return Some(place),
            }
        }
        Some(path)
    }
}
