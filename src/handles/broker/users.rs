//! The administration of users and their permissions.

use super::Broker;
use crate::model::{
    access::{PasswordHash, Permissions, TopicPermissions, User, UserLimits},
    error::Result,
    name::Name,
};

#[cfg(doc)]
use crate::model::error::Error;

/// Users and permissions. [The page on access](crate::guide::access) tells how they work.
///
/// These methods are those of an administrator: a program that has the `Broker` may do everything.
/// The permissions are those of the [connections](Broker::connect) of users. A change counts when
/// its method returns.
impl Broker {
    /// Adds a user. The user may connect to a virtual host after
    /// [`set_permissions`](Self::set_permissions).
    ///
    /// # RabbitMQ
    /// `rabbitmqctl add_user`.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`] if the user exists, or has no name.
    /// - [`Error::InvalidName`] if the name is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Broker, Credentials, Permissions, User};
    ///
    /// let broker = Broker::new();
    /// broker.add_user(User::new("ada").password("secret"))?;
    /// let ada = || broker.connect("/", Credentials::new("ada", "secret"));
    /// assert_eq!(ada().unwrap_err().reply_code(), Some(530)); // no permissions there
    /// broker.set_permissions("/", "ada", &Permissions::all())?;
    /// assert_eq!(ada()?.user(), "ada");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn add_user(&self, user: User) -> Result {
        self.core().add_user(user)
    }

    /// Adds a user, or replaces the one of the same name, whose permissions stay.
    ///
    /// # RabbitMQ
    /// `PUT /api/users/name` of the management plugin, and a user in an imported
    /// `definitions.json`.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`] if the user has no name.
    /// - [`Error::InvalidName`] if the name is over 255 bytes.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{HashingAlgorithm, PasswordHash, User};
    /// # let broker = leveret::Broker::new();
    /// let exported = "kI3GCqG+cq65rBQ9tiUUCREygKhmilKrZEWKSz+H0FJ1fk4/";
    /// let hash = PasswordHash::from_base64(exported, HashingAlgorithm::Sha256)?;
    /// broker.put_user(User::new("ada").password_hash(hash))?;
    /// assert_eq!(broker.authenticate_user("ada", "secret")?.name(), "ada");
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn put_user(&self, user: User) -> Result {
        self.core().put_user(user)
    }

    /// Deletes a user with all permissions.
    ///
    /// This closes the connections of the user. From then on all their handles return
    /// [`Error::UserDeleted`]. If it is the user `guest`, the implicit connections stay.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl delete_user`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Credentials, Permissions, User};
    /// # let broker = leveret::Broker::new();
    /// broker.add_user(User::new("ada").password("secret"))?;
    /// broker.set_permissions("/", "ada", &Permissions::all())?;
    /// let connection = broker.connect("/", Credentials::new("ada", "secret"))?;
    /// broker.delete_user("ada")?;
    /// let error = connection.open_channel().unwrap_err();
    /// assert_eq!(error.to_string(), "CONNECTION_FORCED - user 'ada' is deleted");
    /// assert!(broker.delete_user("ada").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn delete_user(&self, name: &str) -> Result {
        self.core().delete_user(name)
    }

    /// The users, sorted by name.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_users`.
    ///
    /// # Errors
    /// [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`User`] has an example.
    pub fn users(&self) -> Result<Vec<User>> {
        self.core().users()
    }

    /// The user of this name.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// assert_eq!(broker.user("guest")?.tag_list(), ["administrator"]);
    /// assert!(broker.user("nobody").unwrap_err().is_not_found());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn user(&self, name: &str) -> Result<User> {
        self.core().user(name)
    }

    /// Checks a password, and returns its user.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl authenticate_user`.
    ///
    /// # Errors
    /// [`Error::LoginRefused`] if the user is unknown or the password is wrong.
    ///
    /// [`User`] has an example.
    pub fn authenticate_user(&self, name: &str, password: &str) -> Result<User> {
        self.core().authenticate_user(name, password)
    }

    /// Changes the password of a user. The connections of the user stay open.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl change_password`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// broker.change_password("guest", "a better one")?;
    /// assert!(broker.authenticate_user("guest", "guest").is_err());
    /// broker.clear_password("guest")?;
    /// assert!(broker.authenticate_user("guest", "a better one").is_err());
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn change_password(&self, name: &str, password: &str) -> Result {
        // Outside of the lock, since a hash takes its time.
        let hash = (!password.is_empty()).then(|| PasswordHash::of(password));
        let changed = |user: User| user.password_hash(hash);
        self.core().update_user(name, changed)
    }

    /// Takes the password of a user away, so that no login succeeds.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_password`.
    ///
    /// # Errors
    /// Those of [`change_password`](Self::change_password), which has an example.
    pub fn clear_password(&self, name: &str) -> Result {
        self.core()
            .update_user(name, |user| user.password_hash(None))
    }

    /// Sets the tags of a user. The old ones go.
    ///
    /// An open connection keeps the tag `impersonator` that its user had at the login, as in
    /// RabbitMQ. The tags of management count at once.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_user_tags`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// # let broker = leveret::Broker::new();
    /// broker.set_user_tags("guest", ["monitoring", "impersonator"])?;
    /// assert_eq!(broker.user("guest")?.tag_list(), ["monitoring", "impersonator"]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_user_tags<T: Into<String>>(
        &self,
        name: &str,
        tags: impl IntoIterator<Item = T>,
    ) -> Result {
        // Outside of the lock, since the iterator is user code.
        let tags: Vec<String> = tags.into_iter().map(Into::into).collect();
        self.core().update_user(name, |user| user.tags(tags))
    }

    /// Sets the limits of a user. The old ones go. Open connections and
    /// channels stay open.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_user_limits`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Credentials, UserLimits};
    /// # let broker = leveret::Broker::new();
    /// broker.set_user_limits("guest", UserLimits::new().max_channels(1))?;
    /// let connection = broker.connect("/", Credentials::guest())?;
    /// let channel = connection.open_channel()?;
    /// assert_eq!(connection.open_channel().unwrap_err().reply_code(), Some(530));
    /// channel.close()?;
    /// connection.open_channel()?;
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn set_user_limits(&self, name: &str, limits: UserLimits) -> Result {
        self.core().update_user(name, |user| user.limits(limits))
    }

    /// Sets the permissions of a user in a virtual host. The old ones go.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_permissions`.
    ///
    /// # Errors
    /// Nothing is changed in case of an error.
    ///
    /// - [`Error::InvalidPattern`] for a pattern that is no regular expression.
    /// - [`Error::NotFound`] if the user or the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`Permissions`] has an example.
    pub fn set_permissions(&self, vhost: &str, user: &str, permissions: &Permissions) -> Result {
        self.core().set_permissions(vhost, user, permissions)
    }

    /// Takes the permissions of a user in a virtual host away; `false` if there were none.
    ///
    /// Open connections stay open, and may do nothing any more. Consumers go on, as in RabbitMQ.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Credentials, Queue};
    /// # let broker = leveret::Broker::new();
    /// let connection = broker.connect("/", Credentials::guest())?;
    /// let producer = connection.producer::<u32>("q")?;
    /// producer.publish(1)?;
    /// assert!(broker.clear_permissions("/", "guest")?);
    /// assert_eq!(producer.publish(2).unwrap_err().error().reply_code(), Some(403));
    /// assert!(!broker.clear_permissions("/", "guest")?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn clear_permissions(&self, vhost: &str, user: &str) -> Result<bool> {
        self.core().clear_permissions(vhost, user)
    }

    /// The permissions in a virtual host, sorted by the names of the users.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::{Name, Permissions};
    /// # let broker = leveret::Broker::new();
    /// assert_eq!(broker.permissions("/")?, [(Name::new("guest")?, Permissions::all())]);
    /// assert_eq!(broker.user_permissions("guest")?, [(Name::new("/")?, Permissions::all())]);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn permissions(&self, vhost: &str) -> Result<Vec<(Name, Permissions)>> {
        self.core().permissions(vhost)
    }

    /// The permissions of a user, sorted by the names of the virtual hosts.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_user_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`permissions`](Self::permissions) has an example.
    pub fn user_permissions(&self, user: &str) -> Result<Vec<(Name, Permissions)>> {
        self.core().user_permissions(user)
    }

    /// Sets the topic permissions of a user for an exchange of a virtual host.
    ///
    /// They end with the exchange.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl set_topic_permissions`. RabbitMQ 3.10 takes an exchange that does not exist.
    ///
    /// # Errors
    /// Nothing is changed in case of an error.
    ///
    /// - [`Error::InvalidPattern`] for a pattern that is no regular expression.
    /// - [`Error::NotFound`] if the user, the virtual host or the exchange does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`TopicPermissions`] has an example.
    pub fn set_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        permissions: &TopicPermissions,
    ) -> Result {
        self.core().set_topic_permissions(vhost, user, permissions)
    }

    /// Takes the topic permissions of a user away, for one exchange or with `None` for all of the
    /// virtual host; `false` if there were none. The user may use every routing key then.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl clear_topic_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use leveret::TopicPermissions;
    /// # let broker = leveret::Broker::new();
    /// let topic = TopicPermissions::new("amq.topic", "^a", "^b");
    /// broker.set_topic_permissions("/", "guest", &topic)?;
    /// assert_eq!(broker.topic_permissions("/")?[0].1, topic);
    /// assert_eq!(broker.user_topic_permissions("guest")?[0].1, topic);
    /// assert!(broker.clear_topic_permissions("/", "guest", Some("amq.topic"))?);
    /// assert!(!broker.clear_topic_permissions("/", "guest", None)?);
    /// # Ok::<(), leveret::Error>(())
    /// ```
    pub fn clear_topic_permissions(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<bool> {
        self.core().clear_topic_permissions(vhost, user, exchange)
    }

    /// The topic permissions in a virtual host, sorted by the names of the users and the exchanges.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_topic_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the virtual host does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`clear_topic_permissions`](Self::clear_topic_permissions) has an example.
    pub fn topic_permissions(&self, vhost: &str) -> Result<Vec<(Name, TopicPermissions)>> {
        self.core().topic_permissions(vhost)
    }

    /// The topic permissions of a user, sorted by the names of the virtual hosts and the exchanges.
    ///
    /// # RabbitMQ
    /// `rabbitmqctl list_user_topic_permissions`.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if the user does not exist.
    /// - [`Error::ShutDown`] after [`shutdown`](Self::shutdown).
    ///
    /// [`clear_topic_permissions`](Self::clear_topic_permissions) has an example.
    pub fn user_topic_permissions(&self, user: &str) -> Result<Vec<(Name, TopicPermissions)>> {
        self.core().user_topic_permissions(user)
    }
}
