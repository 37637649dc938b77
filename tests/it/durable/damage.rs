//! Folders that cannot be used, and files that are not whole.

use std::{fs, path::Path};

use leveret::{Broker, Error, Message, Queue, StoreErrorKind};

use super::Folder;

/// The only segment of a folder whose broker has ended.
fn file(folder: &Folder) -> std::path::PathBuf {
    folder.0.join("0000000001.closed")
}

fn queue() -> Queue {
    Queue::new("q").durable()
}

/// Makes a folder with some messages.
fn filled() -> Folder {
    let folder = Folder::new();
    let broker = folder.broker();
    let producer = broker.producer::<String>(&queue()).unwrap();
    for number in 0..50 {
        let message = Message::new(format!("message {number}")).persistent();
        producer.publish_message(message).unwrap();
    }
    folder
}

fn kind_of(error: &Error) -> StoreErrorKind {
    match error {
        Error::Store(error) => error.kind(),
        other => panic!("{other}"),
    }
}

fn open(folder: &Path) -> Result<Broker, Error> {
    Broker::builder().data_dir(folder).build()
}

#[test]
fn a_newer_format_is_refused() {
    let folder = filled();
    let mut bytes = fs::read(file(&folder)).unwrap();
    bytes[8] = 2;
    fs::write(file(&folder), bytes).unwrap();
    let error = open(&folder.0).unwrap_err();
    assert_eq!(kind_of(&error), StoreErrorKind::NewerFormat, "{error}");
    assert!(error.to_string().contains("it is 2"), "{error}");
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error_that_names_it() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("a file");
    fs::write(&path, "no folder").unwrap();
    let error = open(&path).unwrap_err();
    assert_eq!(kind_of(&error), StoreErrorKind::Io, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("a file`") && text.ends_with("it is a file, not a folder"),
        "{text}"
    );
}

/// A folder whose permissions allow nothing, and one that is never writable. The first one is
/// writable for some users, who test the other one alone.
#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_is_read_only_is_an_error_that_names_it() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o555)).unwrap();
    let is_writable = fs::write(folder.0.join("probe"), "").is_ok();
    let own = (!is_writable).then_some(&*folder.0);
    for read_only in own.into_iter().chain([Path::new("/proc/self")]) {
        let error = open(read_only).unwrap_err();
        assert_eq!(kind_of(&error), StoreErrorKind::Io, "{error}");
        let text = error.to_string();
        assert!(text.contains(&*read_only.to_string_lossy()), "{text}");
    }
}

#[test]
fn the_progress_of_opening_a_folder_ends_at_one() {
    let folder = filled();
    let (sender, receiver) = std::sync::mpsc::channel();
    let builder = Broker::builder().data_dir(&folder.0);
    let builder = builder.on_recovery_progress(move |progress| sender.send(progress).unwrap());
    drop(builder.build().unwrap());
    let progress: Vec<f64> = receiver.iter().collect();
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(
        (progress.first(), progress.last()),
        (Some(&0.5), Some(&1.0))
    );
}

#[test]
fn a_file_of_another_program_is_an_error() {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(file(&folder), vec![b'x'; 10_000]).unwrap();
    let error = open(&folder.0).unwrap_err();
    assert_eq!(kind_of(&error), StoreErrorKind::Damaged, "{error}");
    let text = error.to_string();
    assert!(text.ends_with("was not written by leveret"), "{text}");
}

#[test]
fn a_file_that_ends_too_early_is_an_error() {
    let folder = filled();
    let whole = fs::read(file(&folder)).unwrap();
    for part in [1, 2, 3] {
        fs::write(file(&folder), &whole[..whole.len() * part / 4]).unwrap();
        match open(&folder.0) {
            Err(error) => assert!(matches!(error, Error::Store(_)), "{error}"),
            Ok(broker) => panic!("{part} quarters are enough: {:?}", broker.snapshot()),
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error() {
    let folder = filled();
    let whole = fs::read(file(&folder)).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        fs::write(file(&folder), &bytes).unwrap();
        let error = open(&folder.0).unwrap_err();
        assert_eq!(kind_of(&error), StoreErrorKind::Damaged, "{at}: {error}");
    }
    fs::write(file(&folder), whole).unwrap();
    assert_eq!(open(&folder.0).unwrap().purge(queue()).unwrap(), 50);
}

#[test]
fn compaction_leaves_what_is_kept_and_nothing_else() {
    let folder = Folder::new();
    {
        let broker = folder.broker();
        let producer = broker.producer::<Vec<u8>>(&queue()).unwrap();
        for _ in 0..200 {
            let message = Message::new(vec![7; 10_000]).persistent();
            producer.publish_message(message).unwrap();
        }
        let consumer = broker.consumer::<Vec<u8>>(&queue()).unwrap();
        for delivery in consumer.try_iter().take(190) {
            delivery.unwrap().ack().unwrap();
        }
    }
    let before = folder.bytes();
    Broker::builder().data_dir(&folder.0).compact().unwrap();
    let after = folder.bytes();
    assert!(before > 200 * 10_000, "{before}");
    assert!((10 * 10_000..11 * 10_000).contains(&after), "{after}");
    let broker = folder.broker();
    let consumer = broker.consumer::<Vec<u8>>(&queue()).unwrap();
    assert_eq!(consumer.try_iter().count(), 10);
}
