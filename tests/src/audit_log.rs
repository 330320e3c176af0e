//! An API server's audit log, one JSON object per line, read once as it grows. One log has the requests of many
//! concurrent tests, so the lines are indexed by namespace and by user.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// The position of a line in the file: its first byte and its length.
type Place = (u64, usize);

#[derive(Debug)]
struct Log {
    file: File,
    /// The number of bytes read so far.
    end: u64,
    namespaces: BTreeMap<String, Vec<Place>>,
    users: BTreeMap<String, Vec<Place>>,
}

/// The log at a path, shared by all tests of this process.
fn log(path: &Path) -> Arc<Mutex<Log>> {
    static LOGS: Mutex<BTreeMap<PathBuf, Arc<Mutex<Log>>>> = Mutex::new(BTreeMap::new());
    let mut logs = LOGS.lock().unwrap_or_else(PoisonError::into_inner);
    let log = logs.entry(path.to_owned()).or_insert_with(|| {
        Arc::new(Mutex::new(Log {
            file: File::open(path).expect("an audit log"),
            end: 0,
            namespaces: BTreeMap::new(),
            users: BTreeMap::new(),
        }))
    });
    Arc::clone(log)
}

/// What follows `before` in a line, up to the next quotation mark.
fn quoted_after<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before)?;
    rest.split('"').next()
}

impl Log {
    /// Reads new lines.
    fn follow(&mut self) {
        let mut reader = BufReader::new(&self.file);
        reader
            .seek(SeekFrom::Start(self.end))
            .expect("a file has places");
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).expect("a readable log");
            // The rest of the line may not be written yet.
            if line.last() != Some(&b'\n') {
                break;
            }
            let place = (self.end, length);
            self.end += length as u64;
            let text = String::from_utf8_lossy(&line);
            if let Some(user) = quoted_after(&text, "\"user\":{\"username\":\"") {
                self.users.entry(user.to_owned()).or_default().push(place);
            }
            // The first namespace is that of the requested object; a body may name others.
            let object = text
                .split_once("\"objectRef\":{")
                .and_then(|(_, rest)| rest.split('}').next());
            if let Some(namespace) = object.and_then(|text| quoted_after(text, "\"namespace\":\""))
            {
                let known = self.namespaces.entry(namespace.to_owned());
                known.or_default().push(place);
            }
        }
    }

    fn read(&self, places: &[Place]) -> Vec<Value> {
        let mut events = Vec::new();
        for (start, length) in places {
            let mut line = vec![0; *length];
            self.file
                .read_exact_at(&mut line, *start)
                .expect("a line that was there");
            events.push(serde_json::from_slice(&line).expect("JSON"));
        }
        events
    }
}

/// Every event about an object of a namespace, in the order of the log.
pub fn of_namespace(path: &Path, namespace: &str) -> Vec<Value> {
    let log = log(path);
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.follow();
    let places = log.namespaces.get(namespace);
    places.map_or_else(Vec::new, |places| log.read(places))
}

/// Every event of a user's request.
pub fn of_user(path: &Path, user: &str) -> Vec<Value> {
    let log = log(path);
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.follow();
    let places = log.users.get(user);
    places.map_or_else(Vec::new, |places| log.read(places))
}

/// The number of events of `of_user`.
pub fn count_of_user(path: &Path, user: &str) -> usize {
    let log = log(path);
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.follow();
    log.users.get(user).map_or(0, Vec::len)
}

/// Whether an audit event is a request of the operator: as the tests' user, as the account of the chart's
/// release, or as that of `accounts`.
pub fn is_operator(event: &Value) -> bool {
    let user = event["user"]["username"].as_str().unwrap_or_default();
    let account = user.strip_prefix("system:serviceaccount:");
    let of_ours = |name: &str| name.ends_with("autopeft") || name.ends_with(":operator");
    user == "operator" || account.is_some_and(of_ours)
}

/// Every write to a namespace that the API server carried out, once.
pub fn writes(audit: &Path, namespace: &str) -> Vec<Value> {
    let mut found = requests(audit, namespace);
    found.retain(was_carried_out);
    found
}

/// Whether the API server carried out the request of an audit event.
pub fn was_carried_out(event: &Value) -> bool {
    event["responseStatus"]["code"]
        .as_u64()
        .is_some_and(|code| code < 300)
}

/// Every write request to a namespace, once, whatever its outcome.
pub fn requests(audit: &Path, namespace: &str) -> Vec<Value> {
    let verbs: BTreeSet<&str> = ["create", "update", "patch", "delete"].into();
    let mut events = of_namespace(audit, namespace);
    events.retain(|event| {
        event["stage"] == "ResponseComplete"
            && verbs.contains(event["verb"].as_str().unwrap_or_default())
    });
    events
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_found_by_namespace_and_user_as_the_log_grows() {
        let folder = std::env::temp_dir().join(format!("autopeft-audit-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("audit.log");
        let mut file = File::create(&path).expect("a log");
        let line = |user: &str, namespace: &str| {
            format!(
                "{{\"verb\":\"create\",\"user\":{{\"username\":\"{user}\"}},\"objectRef\":{{\"resource\":\"jobs\",\
                 \"namespace\":\"{namespace}\"}},\"requestObject\":{{\"namespace\":\"other\"}}}}\n"
            )
        };
        file.write_all(line("one", "lab").as_bytes())
            .expect("written");
        assert_eq!(of_namespace(&path, "lab").len(), 1);
        let (begun, rest) = (line("two", "lab"), line("two", "elsewhere"));
        let (first, second) = begun.split_at(20);
        file.write_all(first.as_bytes()).expect("written");
        assert_eq!(of_namespace(&path, "lab").len(), 1, "half a line is none");
        file.write_all(second.as_bytes()).expect("written");
        file.write_all(rest.as_bytes()).expect("written");
        assert_eq!(of_namespace(&path, "lab").len(), 2);
        assert_eq!(of_namespace(&path, "other").len(), 0);
        assert_eq!(of_user(&path, "two").len(), 2);
        assert_eq!(count_of_user(&path, "one"), 1);
        std::fs::remove_dir_all(&folder).expect("the folder goes");
    }
}
