//! The tutorials: which programs run together, and what each prints.

/// Programs that run together.
pub struct Tutorial {
    pub name: &'static str,
    /// The programs that serve until they are interrupted.
    pub servers: &'static [Server],
    /// The programs that end by themselves, one after the other.
    pub clients: &'static [Client],
}

/// A program that serves until it is interrupted, once or several times.
pub struct Server {
    pub program: &'static str,
    /// The arguments of each process.
    pub processes: &'static [&'static [&'static str]],
    /// What the processes print together once they are ready. Which of them prints a line, and in
    /// which order, is up to the broker.
    pub lines: &'static [&'static str],
}

/// A program that ends by itself.
pub struct Client {
    pub program: &'static str,
    pub arguments: &'static [&'static str],
    pub lines: &'static [&'static str],
}

pub const TUTORIALS: &[Tutorial] = &[
    Tutorial {
        name: "hello world",
        servers: &[Server {
            program: "kombu/receive.py",
            processes: &[&[]],
            lines: &["[x] Received 'Hello World!'"],
        }],
        clients: &[Client {
            program: "kombu/send.py",
            arguments: &[],
            lines: &["[x] Sent 'Hello World!'"],
        }],
    },
    Tutorial {
        name: "work queue",
        servers: &[Server {
            program: "kombu/worker.py",
            processes: &[&[], &[]],
            lines: &[
                "[!] Failed cat-1.png",
                "[x] Resized cat-0.png to [16, 32, 0], again: False",
                "[x] Resized cat-1.png to [16, 32, 64], again: True",
                "[x] Resized cat-2.png to [16, 32, 128], again: False",
                "[x] Resized cat-3.png to [16, 32, 192], again: False",
                "[x] Resized cat-4.png to [16, 32, 256], again: False",
                "[x] Resized cat-5.png to [16, 32, 320], again: False",
            ],
        }],
        clients: &[Client {
            program: "kombu/client.py",
            arguments: &[],
            lines: &[
                "[x] Sent {'task': 'resize', 'picture': 'cat-0.png', 'sizes': [16, 32, 0]}",
                "[x] Sent {'task': 'resize', 'picture': 'cat-1.png', 'sizes': [16, 32, 64]}",
                "[x] Sent {'task': 'resize', 'picture': 'cat-2.png', 'sizes': [16, 32, 128]}",
                "[x] Sent {'task': 'resize', 'picture': 'cat-3.png', 'sizes': [16, 32, 192]}",
                "[x] Sent {'task': 'resize', 'picture': 'cat-4.png', 'sizes': [16, 32, 256]}",
                "[x] Sent {'task': 'resize', 'picture': 'cat-5.png', 'sizes': [16, 32, 320]}",
            ],
        }],
    },
    Tutorial {
        name: "publish and subscribe",
        servers: &[Server {
            program: "kombu/receive_logs.py",
            processes: &[&[], &[]],
            lines: &["[x] all is well", "[x] all is well"],
        }],
        clients: &[Client {
            program: "kombu/emit_log.py",
            arguments: &["all", "is", "well"],
            lines: &["[x] Sent 'all is well'"],
        }],
    },
    Tutorial {
        name: "routing",
        servers: &[
            Server {
                program: "kombu/receive_logs_direct.py",
                processes: &[&["error"]],
                lines: &["[x] error:the disk is full"],
            },
            Server {
                program: "kombu/receive_logs_direct.py",
                processes: &[&["info", "error"]],
                lines: &["[x] error:the disk is full", "[x] info:a user came"],
            },
        ],
        clients: &[
            Client {
                program: "kombu/emit_log_direct.py",
                arguments: &["info", "a", "user", "came"],
                lines: &["[x] Sent info:a user came"],
            },
            Client {
                program: "kombu/emit_log_direct.py",
                arguments: &["debug", "nobody", "reads", "this"],
                lines: &["[x] Sent debug:nobody reads this"],
            },
            Client {
                program: "kombu/emit_log_direct.py",
                arguments: &["error", "the", "disk", "is", "full"],
                lines: &["[x] Sent error:the disk is full"],
            },
        ],
    },
    Tutorial {
        name: "topics",
        servers: &[
            Server {
                program: "kombu/receive_logs_topic.py",
                processes: &[&["#"]],
                lines: &[
                    "[x] kern.critical: the kernel stops (3 words)",
                    "[x] cron: a job ran (3 words)",
                ],
            },
            Server {
                program: "kombu/receive_logs_topic.py",
                processes: &[&["kern.*", "*.critical"]],
                lines: &["[x] kern.critical: the kernel stops (3 words)"],
            },
        ],
        clients: &[
            Client {
                program: "kombu/emit_log_topic.py",
                arguments: &["kern.critical", "the", "kernel", "stops"],
                lines: &["[x] Sent kern.critical:the kernel stops"],
            },
            Client {
                program: "kombu/emit_log_topic.py",
                arguments: &["cron", "a", "job", "ran"],
                lines: &["[x] Sent cron:a job ran"],
            },
        ],
    },
    Tutorial {
        name: "topics without listeners",
        servers: &[],
        clients: &[Client {
            program: "kombu/emit_log_topic.py",
            arguments: &["kern.info", "nobody", "listens"],
            lines: &[
                "[x] Sent kern.info:nobody listens",
                "[!] Returned: Basic.return: (312) NO_ROUTE",
            ],
        }],
    },
    Tutorial {
        name: "remote calls",
        servers: &[Server {
            program: "kombu/rpc_server.py",
            processes: &[&[]],
            lines: &["[.] fib(0)", "[.] fib(30)", "[.] fib(90)"],
        }],
        clients: &[Client {
            program: "kombu/rpc_client.py",
            arguments: &["0", "30", "90"],
            lines: &[
                "[x] Requesting fib(0)",
                "[.] Got {'result': 0}",
                "[x] Requesting fib(30)",
                "[.] Got {'result': 832040}",
                "[x] Requesting fib(90)",
                "[.] Got {'result': 2880067194370816120}",
            ],
        }],
    },
    Tutorial {
        name: "remote calls of oslo.messaging",
        servers: &[Server {
            program: "oslo/rpc_server.py",
            processes: &[&["one"], &["two"]],
            lines: &[
                "[.] resize cat.png to 64 for ann",
                "[.] delete dog.png",
                "[.] forget",
                "[.] forget",
                "[.] forget",
            ],
        }],
        clients: &[Client {
            program: "oslo/rpc_client.py",
            arguments: &[],
            lines: &[
                "[x] {'name': 'cat.png', 'width': 64}",
                "[!] Unknown: no picture is called dog.png",
                "[!] UnsupportedVersion",
                "[x] Cast",
            ],
        }],
    },
    Tutorial {
        name: "notifications of oslo.messaging",
        servers: &[Server {
            program: "oslo/notification_listener.py",
            processes: &[&[]],
            lines: &[
                "[x] info compute.host-1 instance.created {'cores': 4}",
                "[x] warn compute.host-1 disk.low {'free': 0.5, 'volumes': ['a', 'b']}",
                "[x] warn compute.host-1 disk.low {'free': 0.5, 'volumes': ['a', 'b']}",
            ],
        }],
        clients: &[Client {
            program: "oslo/notifier.py",
            arguments: &[],
            lines: &[
                "[x] Notified as compute.host-1",
                "[x] Notified as network.host-2",
            ],
        }],
    },
];
