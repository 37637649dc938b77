//! Users, permissions, limits and metadata outlive their broker.

use leveret::{
    Broker, Credentials, Exchange, Permissions, Queue, TopicPermissions, User, UserLimits,
    VhostLimits, VhostMetadata,
};

use super::Folder;

/// All that is said of users and virtual hosts.
fn administration(broker: &Broker) -> String {
    let mut text = format!("{:?}", broker.users().unwrap());
    for vhost in broker.vhosts().unwrap() {
        text += &format!(
            "\n{vhost}: {:?} {:?} {:?} {:?}",
            broker.permissions(&vhost).unwrap(),
            broker.topic_permissions(&vhost).unwrap(),
            broker.vhost_limits(&vhost).unwrap(),
            broker.vhost_metadata(&vhost).unwrap(),
        );
    }
    text
}

fn administrate(broker: &Broker) {
    let limits = UserLimits::new().max_connections(3).max_channels(-1);
    let ada = User::new("ada").password("secret").tags(["b", "a", "b"]);
    broker.add_user(ada.limits(limits)).unwrap();
    broker
        .add_user(User::new("bob").password("secret"))
        .unwrap();
    broker.create_vhost("orders").unwrap();
    broker.create_vhost("gone").unwrap();
    let metadata = VhostMetadata::new().description("of the shop").tag("t");
    let metadata = metadata.default_queue_type("quorum");
    broker.set_vhost_metadata("orders", metadata).unwrap();
    broker
        .set_vhost_limits("orders", VhostLimits::new().max_queues(1))
        .unwrap();
    for vhost in ["/", "orders", "gone"] {
        for user in ["ada", "bob"] {
            broker
                .set_permissions(vhost, user, &Permissions::new("^a", "", ".*"))
                .unwrap();
        }
        let topic = TopicPermissions::new("amq.topic", "^{username}$", "");
        broker.set_topic_permissions(vhost, "ada", &topic).unwrap();
    }
    broker.declare(&Exchange::topic("x").durable()).unwrap();
    broker
        .set_topic_permissions("/", "ada", &TopicPermissions::new("x", "", ""))
        .unwrap();
    broker.delete(&Exchange::topic("x")).unwrap();
    broker.clear_permissions("orders", "guest").unwrap();
    broker.delete_vhost("gone").unwrap();
    broker.delete_user("bob").unwrap();
    broker.change_password("ada", "new").unwrap();
}

#[test]
fn what_was_set_is_set_and_what_was_cleared_is_cleared() {
    let folder = Folder::new();
    let before = {
        let broker = folder.broker();
        administrate(&broker);
        administration(&broker)
    };
    for _ in 0..2 {
        let broker = folder.broker();
        assert_eq!(administration(&broker), before);
        broker
            .connect("/", Credentials::new("ada", "new"))
            .map(drop)
            .unwrap();
        assert!(broker.authenticate_user("ada", "secret").is_err());
        let orders = broker.vhost("orders").unwrap();
        orders.declare(&Queue::quorum("q")).unwrap();
        assert_eq!(
            orders.declare(&Queue::new("r")).unwrap_err().reply_code(),
            Some(406)
        );
    }
}

#[test]
fn a_limit_does_not_refuse_the_queues_that_come_back() {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        for queue in ["a", "b"] {
            broker.declare(&Queue::new(queue).durable()).unwrap();
        }
        broker
            .set_vhost_limits("/", VhostLimits::new().max_queues(1))
            .unwrap();
    }
    let broker = folder.broker();
    for queue in ["a", "b"] {
        broker.purge(Queue::existing(queue)).unwrap();
    }
    assert!(broker.declare(&Queue::new("c").durable()).is_err());
}

#[test]
fn guest_who_was_deleted_does_not_come_back_as_long_as_there_are_users() {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        broker
            .add_user(User::new("ada").password("secret"))
            .unwrap();
        broker.delete_user("guest").unwrap();
    }
    let broker = folder.broker();
    assert!(broker.user("guest").unwrap_err().is_not_found());
    broker
        .vhost("/")
        .unwrap()
        .declare(&Queue::new("q"))
        .unwrap();
}

#[test]
fn a_user_of_the_builder_is_added_once_and_keeps_the_permissions() {
    let folder = Folder::new();
    let open = |password: &str| {
        let builder = Broker::builder().user("ada", password);
        builder.data_dir(&folder.0).build().unwrap()
    };
    {
        let broker = open("one");
        assert_eq!(
            broker.user_permissions("ada").unwrap()[0].1,
            Permissions::all()
        );
        broker
            .set_permissions("/", "ada", &Permissions::none())
            .unwrap();
        broker.set_user_tags("ada", ["mine"]).unwrap();
    }
    {
        let broker = open("two");
        assert!(broker.authenticate_user("ada", "one").is_err());
        assert_eq!(
            broker.authenticate_user("ada", "two").unwrap().tag_list(),
            ["mine"]
        );
        assert_eq!(
            broker.user_permissions("ada").unwrap()[0].1,
            Permissions::none()
        );
    }
    // Without the builder the user stays, with the last password.
    let broker = folder.broker();
    broker.authenticate_user("ada", "two").map(drop).unwrap();
    broker
        .authenticate_user("guest", "guest")
        .map(drop)
        .unwrap();
}
