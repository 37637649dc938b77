use proptest::prelude::*;

use super::*;
use crate::model::field_value::FieldTable;

fn chosen(table: &ConsistentHash, key: &str, properties: RoutingProperties<'_>) -> Option<Number> {
    let mut matches = Matches::new();
    table.route(key, properties, &mut matches);
    assert!(matches.numbers().len() <= 1);
    matches.numbers().first().copied()
}

/// The queues of the first recorded keys, with the weights 1 and 1.
#[test]
fn keys_go_where_rabbitmq_sends_them() {
    let mut table = ConsistentHash::new(HashOn::RoutingKey);
    (0..2).for_each(|queue| table.insert(queue, "1"));
    let of_key = |number| {
        let key = format!("k{number}");
        chosen(&table, &key, RoutingProperties::default()).unwrap()
    };
    let queues: Vec<Number> = (0..12).map(of_key).collect();
    assert_eq!(queues, [1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1]);
}

/// Recorded on RabbitMQ 4.3.6 with 16 queues of the weight 1.
#[test]
fn header_values_go_where_rabbitmq_sends_them() {
    let mut table = ConsistentHash::new(HashOn::Header("h".to_owned()));
    (0..16).for_each(|queue| table.insert(queue, "1"));
    let nested = FieldValue::Array(vec![FieldValue::Array(vec![7.into()])]);
    for (value, queue) in [
        (FieldValue::from(5), 4),
        ((-1).into(), 13),
        ((-5).into(), 2),
        (0.into(), 15),
        (i32::MAX.into(), 13),
        ((1_i64 << 40).into(), 15),
        (true.into(), 0),
        (false.into(), 12),
        (FieldValue::Void, 1),
        ("".into(), 9),
        ("abc".into(), 10),
        ("käse".into(), 6),
        (FieldValue::Bytes([255, 254][..].into()), 5),
        (FieldValue::Timestamp(1), 0),
        (FieldValue::Timestamp(2), 4),
        (FieldValue::Timestamp(100), 10),
        (
            FieldValue::Decimal {
                scale: 1,
                value: 15,
            },
            12,
        ),
        (FieldValue::Array(vec![5.into()]), 7),
        (FieldValue::Array(vec!["abc".into()]), 8),
        (FieldValue::Array(vec![]), 14),
        (nested, 1),
        (FieldValue::Array(vec![true.into()]), 4),
        (FieldTable::from([("a", 1)]).into(), 15),
        (FieldTable::new().into(), 14),
    ] {
        let headers = FieldTable::from([("h", value.clone())]);
        let properties = RoutingProperties::of_headers(Some(&headers));
        assert_eq!(chosen(&table, "k", properties), Some(queue), "{value:?}");
    }
    assert_eq!(chosen(&table, "k", RoutingProperties::default()), Some(1));
}

#[test]
fn a_weight_is_a_positive_integer() {
    for (key, expected) in [("1", 1), ("+1", 1), ("007", 7), ("4294967295", u32::MAX)] {
        assert_eq!(weight(key), Ok(expected));
    }
    let text = |key| weight(key).unwrap_err().to_string();
    for key in [
        "", "+", "1.5", " 1", "1 ", "1e3", "0x1", "++1", "1_000", "\u{ff11}",
    ] {
        assert!(
            text(key).contains("The binding key must be an integer: <<"),
            "{key}"
        );
    }
    for key in ["0", "-1", "-0", "+00", "-99999999999"] {
        let expected = "PRECONDITION_FAILED - The binding key must be greater than 0";
        assert_eq!(text(key), expected);
    }
    assert!(text("4294967296").ends_with("at most 4294967295"));
}

/// The model: a list with one entry for each bucket.
#[derive(Clone, Debug)]
enum Step {
    Insert(Number, u32),
    Remove(Number),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_u32, 1..9_u32).prop_map(|(destination, weight)| Step::Insert(destination, weight)),
        (0..12_u32).prop_map(Step::Remove),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {

    #![proptest_config(crate::model::test_cases::cases())]

    #[test]
    fn it_chooses_as_a_list_of_buckets_does(steps in steps(), keys in "[a-z]{0,20}") {
        let mut table = ConsistentHash::new(HashOn::RoutingKey);
        let mut buckets: Vec<Number> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(destination, weight) => {
                    table.insert(destination, &weight.to_string());
                    if !buckets.contains(&destination) {
                        buckets.extend((0..weight).map(|_| destination));
                    }
                }
                Step::Remove(destination) => {
                    table.remove(destination);
                    buckets.retain(|there| *there != destination);
                }
            }
            prop_assert_eq!(table.buckets(), buckets.len() as u64);
            for destination in 0..12 {
                prop_assert_eq!(table.has_share(destination), buckets.contains(&destination));
            }
            for end in 0..=keys.len() {
                let key = &keys[..end];
                let bucket = jump(Phash2::of_text(key).into(), buckets.len() as u64);
                let expected = buckets.get(bucket as usize).copied();
                prop_assert_eq!(chosen(&table, key, RoutingProperties::default()), expected);
            }
        }
    }

    #[test]
    fn a_new_bucket_takes_keys_and_moves_no_others(seed in any::<i64>(), buckets in 1..500_u64) {
        let (before, after) = (jump(seed, buckets), jump(seed, buckets + 1));
        prop_assert!(after == before || after == buckets);
    }
}
