//! Declaring budgets: equal and unequal declarations, refused declarations, and the JSON of a
//! description.

use leveret::{Budget, BudgetPolicy, EntityKind, Error, Precondition, Queue};

use super::{covered, ten_bytes, with_budget};

#[test]
fn a_queues_budget_cannot_be_changed_by_declaring_it_again() {
    let (broker, _) = with_budget(ten_bytes());
    broker.declare(&Budget::new("c", 10)).unwrap();
    broker.declare(&covered("q")).unwrap();
    broker.declare(&covered("q")).unwrap();
    for other in [Queue::new("q"), Queue::new("q").budget("c")] {
        match broker.declare(&other).unwrap_err() {
            Error::Inequivalent(difference) => assert_eq!(difference.field, "x-budget"),
            other => panic!("{other}"),
        }
    }
    let error = broker.declare(&ten_bytes().block()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PRECONDITION_FAILED - inequivalent arg 'policy' for budget 'b' in vhost '/': received 'block' but current is 'reject'"
    );
    for (other, field) in [
        (Budget::new("b", 11), "limit"),
        (ten_bytes().whole_vhost(), "whole_vhost"),
    ] {
        match broker.declare(&other).unwrap_err() {
            Error::Inequivalent(difference) => {
                assert_eq!(
                    (difference.field.as_str(), difference.entity),
                    (field, EntityKind::Budget)
                );
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn bad_budgets_are_refused_when_they_are_declared() {
    let (broker, _) = with_budget(ten_bytes());
    let argument = |error: Error| match error {
        Error::PreconditionFailed(why) => match *why {
            Precondition::InvalidArgument { argument, .. } => argument,
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    };
    assert_eq!(
        argument(broker.declare(&Budget::new("zero", 0)).unwrap_err()),
        "limit"
    );
    assert_eq!(
        argument(broker.declare(&Budget::new("", 1)).unwrap_err()),
        "name"
    );
    assert_eq!(
        argument(broker.declare(&Queue::new("q").budget("")).unwrap_err()),
        "x-budget"
    );
    let number = Queue::new("q").argument("x-budget", 7);
    assert_eq!(argument(broker.declare(&number).unwrap_err()), "x-budget");
    let long = broker
        .declare(&Budget::new("x".repeat(256), 1))
        .unwrap_err();
    assert!(matches!(long, Error::InvalidName(name) if name.length == 256));
    let unknown = broker
        .declare(&Queue::new("q").budget("nobody's"))
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "NOT_FOUND - no budget 'nobody's' in vhost '/'"
    );
    assert!(broker.budget("nobody's").unwrap_err().is_not_found());

    broker.declare(&covered("q")).unwrap();
    let late = broker
        .declare(&Budget::new("all", 1).whole_vhost())
        .unwrap_err();
    assert_eq!(
        late.to_string(),
        "PRECONDITION_FAILED - budget 'all' in vhost '/' cannot cover the whole vhost: it has queues or delayed exchanges already"
    );
    let used = broker.delete(&ten_bytes()).unwrap_err();
    assert_eq!(
        used.to_string(),
        "PRECONDITION_FAILED - budget 'b' in vhost '/' in use"
    );
    broker.delete(&covered("q")).unwrap();
    broker.delete(&ten_bytes()).unwrap();
    broker.delete(&ten_bytes()).unwrap(); // the budget does not exist any more
    assert!(broker.declare(&covered("q")).unwrap_err().is_not_found());
}

#[test]
fn a_description_of_a_budget_can_be_stored() {
    let budget = Budget::new("b", 10).block().whole_vhost();
    let stored = serde_json::to_string(&budget).unwrap();
    assert_eq!(
        stored,
        r#"{"name":"b","limit":10,"policy":"block","whole_vhost":true}"#
    );
    assert_eq!(serde_json::from_str::<Budget>(&stored).unwrap(), budget);
    let brief: Budget = serde_json::from_str(r#"{"name":"b","limit":10}"#).unwrap();
    assert_eq!((brief.policy(), brief), (BudgetPolicy::Reject, ten_bytes()));
}
