//! The dashboard in a browser.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{self, Command},
    sync::{Arc, Mutex},
    thread,
};

use leveret::{Broker, Dashboard, Exchange, Queue};

/// Serves the dashboard until the process ends. Notes the paths that are asked for.
fn serve(dashboard: Dashboard) -> (u16, Arc<Mutex<BTreeSet<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let paths = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (dashboard, paths) = (dashboard.clone(), Arc::clone(&paths));
            thread::spawn(move || answer(&dashboard, &paths, stream.unwrap()));
        }
    });
    (port, asked)
}

fn answer(dashboard: &Dashboard, paths: &Mutex<BTreeSet<String>>, mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    while lines.next().is_some_and(|line| !line.is_empty()) {}
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    paths.lock().unwrap().insert(path.clone());
    let (status, content_type, body) = match path.as_str() {
        "/" => ("200 OK", "text/html; charset=utf-8", dashboard.page()),
        "/data.json" => ("200 OK", "application/json", dashboard.data().unwrap()),
        _ => ("404 Not Found", "text/plain", String::new()),
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
}

/// The page after its scripts have run, in Chromium. `None` if there is no Chromium.
fn rendered(port: u16) -> Option<String> {
    let profile = env::temp_dir().join(format!("leveret-chromium-{}", process::id()));
    let mut chromium = Command::new("chromium");
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--virtual-time-budget=3500",
        "--dump-dom",
    ]);
    chromium.arg(format!("--user-data-dir={}", profile.display()));
    let output = chromium
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .ok()?;
    fs::remove_dir_all(profile).ok();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
#[ignore = "it needs Chromium"]
fn a_browser_shows_the_dashboard_and_asks_for_nothing_else() {
    let broker = Broker::new();
    let evil = "<img src=x onerror=alert(1)>";
    let exchange = Exchange::topic("events");
    broker
        .declare(&Queue::new(evil).bind(&exchange, "#"))
        .unwrap();
    broker
        .declare(&Queue::new("mails").bind(&exchange, "order.*"))
        .unwrap();
    let producer = broker.producer::<u32>(&exchange).unwrap();
    (0..12)
        .for_each(|number| assert!(producer.publish_to("order.new", number).unwrap().refused == 0));
    let _consumer = broker.consumer::<u32>("mails").unwrap();
    let dashboard = Dashboard::new(&broker).title("A <shop>");
    let (port, asked) = serve(dashboard);
    let Some(page) = rendered(port) else {
        println!("not run: there is no Chromium");
        return;
    };
    assert!(page.contains("<h1>A &lt;shop&gt;</h1>"), "{page}");
    assert!(
        page.contains("class=\"good\">leveret "),
        "the page has data: {page}"
    );
    assert!(
        page.contains("<td class=\"text name\" title=\"mails\">mails</td>"),
        "{page}"
    );
    assert!(
        page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "a name is text"
    );
    assert!(!page.contains("<img"), "a name is no element");
    assert!(
        page.contains("class=\"lv-picture\""),
        "the topology is there"
    );
    assert!(page.contains("1 consumer</text>"), "{page}");
    assert!(page.contains("class=\"curve in\""), "rates are curves");
    let asked = asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        BTreeSet::from(["/".to_owned(), "/data.json".to_owned()])
    );
}
