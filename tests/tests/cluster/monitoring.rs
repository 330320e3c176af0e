//! Monitoring. A real Prometheus scrapes a real operator: every panel of the dashboard
//! has data, and every alert can be evaluated. Log lines and events name their search and trial.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use autopeft_integration_tests::cluster::{cluster, eventually, runtime};
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::Searches;
use serde_json::{Value, json};

/// A Prometheus as a process; killed when it is dropped.
struct Prometheus {
    child: Child,
    log: PathBuf,
}

impl Prometheus {
    /// Scrapes `port` every second and evaluates the alerts.
    fn start(port: u16, folder: &Path) -> Self {
        let alerts = root().join("charts/autopeft/files/alerts.yaml");
        let alerts = alerts.canonicalize().expect("the alerts");
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [alerts],
            "scrape_configs": [{
                "job_name": "autopeft",
                "honor_labels": true,
                "static_configs": [{"targets": [format!("127.0.0.1:{port}")]}],
            }],
        });
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, configuration.to_string()).expect("the configuration");
        let programs = cluster().verb(&["build", "prometheus"]);
        let log = folder.join("prometheus.log");
        let said = std::fs::File::create(&log).expect("a log");
        let child = Command::new(Path::new(&programs).join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("prometheus starts");
        Self { child, log }
    }

    /// Its address, once it is logged.
    fn address(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.log).ok()?;
        let (_, rest) = log.split_once("\"Listening on\" address=")?;
        rest.split_whitespace().next().map(str::to_owned)
    }

    fn ask(&self, path: &str, query: &str) -> Value {
        let Some(address) = self.address() else {
            return Value::Null;
        };
        let output = Command::new("curl")
            .args(["-sG", "--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{address}/api/v1/{path}"))
            .output()
            .expect("curl runs");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The numbers that a query finds now.
    fn numbers(&self, query: &str) -> Vec<f64> {
        let answer = self.ask("query", query);
        let found = answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let number = |value: &Value| value["value"][1].as_str()?.parse().ok();
        found.iter().filter_map(number).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every query of the dashboard, with the title of its panel, as Grafana would send it.
fn queries() -> Vec<(String, String)> {
    let file = root().join("charts/autopeft/files/dashboard.json");
    let text = std::fs::read_to_string(file).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().expect("a query");
            let query = query
                .replace("$namespace", ".*")
                .replace("$search", ".*")
                .replace("$__rate_interval", "2m")
                .replace("$__range", "5m");
            assert!(!query.contains('$'), "{title}: {query}");
            found.push((title.to_owned(), query));
        }
    }
    found
}

#[test]
fn every_panel_has_data_and_every_alert_is_evaluated() {
    runtime().block_on(async {
        let client = cluster().namespace("monitored").await;
        let time = Duration::from_millis(500);
        let _kubelet = Kubelet::play(client.clone(), "monitored", time, |_| Act::Succeed);
        let operator = cluster().operator("monitored", "a");
        let folder = tempfile::tempdir().expect("a folder");
        eventually("it serves", async || operator.port().is_some()).await;
        let port = operator.port().expect("it serves");
        let prometheus = Prometheus::start(port, folder.path());
        eventually("Prometheus sees the leader", async || {
            prometheus.numbers("autopeft_leader") == [1.0]
        })
        .await;
        let searches = Searches::of(&client, "monitored");
        let promotion = json!({"seeds": 1, "trials": [0, 1, 2, 3]});
        let task = json!({"name": "mrpc", "source": {"claim": {"name": "autopeft"}}});
        let transfer = json!({"tasks": [{"name": "mrpc", "task": task}]});
        let changes = json!({
            "maxTrials": 10, "parallelism": 4, "promotion": promotion, "transfer": transfer,
        });
        searches.submit("one", &changes).await;
        searches.ended("one").await;
        eventually("Prometheus sees the end", async || {
            prometheus.numbers("autopeft_search_finished") == [1.0]
        })
        .await;
        for (title, query) in queries() {
            let numbers = prometheus.numbers(&query);
            assert!(!numbers.is_empty(), "{title} has no data: {query}");
            assert!(
                numbers.iter().all(|number| number.is_finite()),
                "{title}: {numbers:?}"
            );
        }
        let namespaces =
            "count by (namespace, name) (autopeft_search_trials{namespace=\"monitored\"})";
        assert_eq!(
            prometheus.numbers(namespaces),
            [4.0],
            "one search, four states"
        );

        let rules = prometheus.ask("rules", "");
        let groups = rules["data"]["groups"].as_array().expect("groups").clone();
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().expect("rules"))
            .collect();
        assert!(rules.len() > 8, "the alerts are loaded");
        for rule in rules {
            assert_eq!(
                rule["health"], "ok",
                "{}: {}",
                rule["name"], rule["lastError"]
            );
            assert_ne!(
                rule["state"], "firing",
                "{} while all is well",
                rule["name"]
            );
        }

        searches.delete("one").await;
        eventually("the search's series are gone", async || {
            prometheus.numbers("autopeft_search_finished").is_empty()
        })
        .await;
    });
}

#[test]
fn each_line_of_the_log_names_its_search_and_trial_as_fields_once() {
    runtime().block_on(async {
        let client = cluster().namespace("logged").await;
        let time = Duration::from_millis(100);
        let _kubelet = Kubelet::play(client.clone(), "logged", time, |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::Evicted,
                (2, _) => Act::OomKilled,
                _ => Act::Succeed,
            }
        });
        let operator = cluster().launch("logged", "a").in_json().start();
        let searches = Searches::of(&client, "logged");
        searches.submit("one", &json!({})).await;
        searches.ended("one").await;
        let log = operator.log();
        let mut trials = std::collections::BTreeSet::new();
        for text in log.lines() {
            let line: Value = serde_json::from_str(text).expect("JSON");
            // A document of fields that come twice is JSON, and nobody reads both.
            for field in ["namespace", "search", "trial", "span", "object.ref"] {
                let count = text.matches(&format!("\"{field}\":")).count();
                assert!(count <= 1, "{field} comes {count} times: {text}");
            }
            let spans = line["spans"].as_array().cloned().unwrap_or_default();
            assert!(spans.len() <= 1, "{text}");
            let message = line["message"].as_str().expect("a message");
            let trial = message.strip_prefix("trial ").map(|rest| {
                let number = rest.split(|letter: char| !letter.is_ascii_digit());
                let number = number.into_iter().next().unwrap_or_default();
                number.parse::<u64>().expect("a number")
            });
            if trial.is_some() || !spans.is_empty() {
                assert_eq!(line["search"], "one", "{text}");
                assert_eq!(line["namespace"], "logged", "{text}");
            }
            if let Some(trial) = trial {
                assert_eq!(line["trial"], trial, "{text}");
            }
            trials.extend(line["trial"].as_u64());
        }
        assert_eq!(trials, (0..8).collect(), "{log}");
    });
}

#[test]
fn an_image_named_by_tag_is_reported_once_per_search() {
    runtime().block_on(async {
        let client = cluster().namespace("tagged").await;
        let time = Duration::from_millis(100);
        let _kubelet = Kubelet::play(client.clone(), "tagged", time, |_| Act::Succeed);
        let mut operator = cluster().operator("tagged", "a");
        let searches = Searches::of(&client, "tagged");
        let digest = format!("localhost/trainer@sha256:{}", "a".repeat(64));
        for (name, trainer) in [
            ("by-default", json!({})),
            ("by-tag", json!({"image": "localhost/trainer:1"})),
            ("by-digest", json!({"image": digest})),
        ] {
            let changes = json!({"trainer": trainer, "maxTrials": 5});
            searches.submit(name, &changes).await;
        }
        searches.finished("by-tag", 1).await;
        operator.kill();
        let _operator = cluster().operator("tagged", "b");
        for name in ["by-default", "by-tag", "by-digest"] {
            searches.ended(name).await;
        }
        let told: Vec<(Option<String>, Option<String>)> = searches
            .events(&["ImageByTag"])
            .await
            .into_iter()
            .map(|event| (event.regarding.and_then(|about| about.name), event.type_))
            .collect();
        assert_eq!(told, [(Some("by-tag".into()), Some("Warning".into()))]);
    });
}

/// The reason for waiting is reported by one event, not at every reconcile.
#[test]
fn each_reason_for_waiting_is_reported_by_one_event() {
    runtime().block_on(async {
        let client = cluster().namespace("waits").await;
        let time = Duration::from_millis(100);
        let _kubelet = Kubelet::play(client.clone(), "waits", time, |request| {
            match (request.identity.trial, request.identity.attempt) {
                (1, 1) => Act::NoImage,
                (1, 2) => Act::NotMade,
                _ => Act::Succeed,
            }
        });
        let _operator = cluster().operator("waits", "a");
        let searches = Searches::of(&client, "waits");
        let changes = json!({"maxTrials": 3, "algorithm": {"initialTrials": 3}});
        searches.submit("one", &changes).await;
        for (reason, mended) in [("ImageNotPulled", "1"), ("PodNotStarted", "2")] {
            eventually(reason, async || {
                searches.condition("one", "Degraded").await == ("True".into(), reason.into())
            })
            .await;
            // Looked at a few times.
            tokio::time::sleep(Duration::from_secs(7)).await;
            let image = json!({"trainer": {"image": format!("localhost/trainer:{mended}")}});
            searches.patch("one", &image).await.expect("it may change");
        }
        assert_eq!(searches.ended("one").await.trials.succeeded, 3);
        let mut told: Vec<String> = searches
            .events(&[])
            .await
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning") && event.series.is_none())
            .filter_map(|event| event.reason)
            .filter(|reason| reason != "TrialRetried")
            .collect();
        told.sort();
        assert_eq!(told, ["ImageNotPulled", "PodNotStarted"]);
    });
}
