//! The JSON Schema of the own form.

use leveret::{AliasQueue, Broker, Budget, DEFINITIONS_SCHEMA, Exchange, ModelQueue, Queue};
use serde_json::{Value, json};

use super::{exported, file};

/// The first part of a value that does not fit the schema. It knows the keywords that the schema
/// uses, and no others.
fn error(value: &Value, schema: &Value, root: &Value) -> Option<String> {
    let Value::Object(keywords) = schema else {
        return (schema == &Value::Bool(false)).then(|| format!("{value} must not be there"));
    };
    let fits = |schema: &Value| error(value, schema, root).is_none();
    let object = value.as_object();
    for (keyword, wanted) in keywords {
        let wrong = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "then" => None,
            "$ref" => {
                let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                error(value, root.pointer(pointer).unwrap(), root)
            }
            "type" => {
                let any = Value::Array(vec![wanted.clone()]);
                let types = wanted.as_array().or(any.as_array()).unwrap();
                let is_one = types
                    .iter()
                    .any(|it| is_of_type(value, it.as_str().unwrap()));
                (!is_one).then(|| format!("{value} is no {wanted}"))
            }
            "const" => (value != wanted).then(|| format!("{value} is not {wanted}")),
            "enum" => {
                let is_one = wanted.as_array().unwrap().contains(value);
                (!is_one).then(|| format!("{value} is none of {wanted}"))
            }
            "required" => object.and_then(|object| {
                let mut names = wanted.as_array().unwrap().iter();
                let missing = names.find(|name| !object.contains_key(name.as_str().unwrap()));
                missing.map(|name| format!("{value} has no {name}"))
            }),
            "properties" => object.and_then(|object| {
                let mut properties = wanted.as_object().unwrap().iter();
                properties.find_map(|(name, schema)| error(object.get(name)?, schema, root))
            }),
            "additionalProperties" => object.and_then(|object| {
                let known = keywords.get("properties").and_then(Value::as_object);
                let is_known = |name: &String| known.is_some_and(|known| known.contains_key(name));
                let mut others = object.iter().filter(|(name, _)| !is_known(name));
                others.find_map(|(_, value)| error(value, wanted, root))
            }),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.find_map(|item| error(item, wanted, root))
            }
            "anyOf" => {
                let is_any = wanted.as_array().unwrap().iter().any(fits);
                (!is_any).then(|| format!("{value} fits none of {wanted}"))
            }
            "allOf" => {
                let mut all = wanted.as_array().unwrap().iter();
                all.find_map(|schema| error(value, schema, root))
            }
            "not" => fits(wanted).then(|| format!("{value} fits {wanted}")),
            "if" if fits(wanted) => error(value, &keywords["then"], root),
            "if" => None,
            "minimum" => {
                let is_less = value.as_i64() < wanted.as_i64();
                is_less.then(|| format!("{value} is less than {wanted}"))
            }
            "minLength" => {
                let length = value.as_str().map(|text| text.chars().count() as u64);
                let is_less = length.is_some_and(|length| length < wanted.as_u64().unwrap());
                is_less.then(|| format!("{value} is too short"))
            }
            "maxLength" => {
                let length = value.as_str().map(|text| text.chars().count() as u64);
                (length > wanted.as_u64()).then(|| format!("{value} is too long"))
            }
            "minProperties" => {
                let is_less = object.is_some_and(|it| (it.len() as u64) < wanted.as_u64().unwrap());
                is_less.then(|| format!("{value} has too few properties"))
            }
            other => panic!("the keyword {other} is not known here"),
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn errors(value: &Value) -> Option<String> {
    let schema: Value = serde_json::from_str(DEFINITIONS_SCHEMA).unwrap();
    error(value, &schema, &schema)
}

#[test]
fn the_schema_takes_our_exports() {
    for name in [
        "small.json",
        "3.10.8/medium-ctl.json",
        "4.3.6/medium-ctl.json",
    ] {
        let broker = Broker::from_definitions(file(name)).unwrap();
        broker.declare(&Budget::new("b", 5)).unwrap();
        let queue = Queue::new("typed").argument("x", ()).argument("y", 0.1_f32);
        broker.declare(&queue).unwrap();
        broker.declare(&AliasQueue::of_queue("alias", "q")).unwrap();
        let source = Exchange::topic("x").alternate("y").bind("amq.fanout", "");
        let template = queue.auto_delete().bind(source, "#");
        broker.declare(&ModelQueue::new("model", template)).unwrap();
        assert_eq!(errors(&exported(&broker)), None, "{name}");
    }
}

#[test]
fn the_schema_refuses_what_does_not_fit() {
    for wrong in [
        json!({}),
        json!({"leveret_definitions": 2}),
        json!({"leveret_definitions": 1, "frobs": []}),
        json!({"leveret_definitions": 1, "queues": {}}),
        json!({"leveret_definitions": 1, "queues": [{"name": 5}]}),
        json!({"leveret_definitions": 1, "queues": [{"name": "q", "durable": 1}]}),
        json!({"leveret_definitions": 1,
            "queues": [{"name": "q", "arguments": {"x": {"$type": "frob"}}}]}),
        json!({"leveret_definitions": 1, "exchanges": [{"name": "x"}]}),
        json!({"leveret_definitions": 1, "alias_queues": [{"name": "a", "target": "q"}]}),
        json!({"leveret_definitions": 1,
            "alias_queues": [{"name": "a", "target": "", "target_type": "queue"}]}),
        json!({"leveret_definitions": 1,
            "model_queues": [{"name": "m", "bindings": [{"source": "x"}]}]}),
        json!({"leveret_definitions": 1,
            "policies": [{"name": "p", "pattern": "", "definition": {}}]}),
        json!({"leveret_definitions": 1, "parameters":
            [{"component": "vhost-limits", "name": "limits", "value": {"frob": 5}}]}),
    ] {
        assert!(errors(&wrong).is_some(), "{wrong}");
    }
}
