//! A real Prometheus scrapes a real operator: every panel of the dashboard has data, and every alert
//! can be evaluated.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use autopeft_integration_tests::cluster::{cluster, eventually, runtime};
use autopeft_integration_tests::generated::root;
use autopeft_integration_tests::kubelet::{Act, Kubelet};
use autopeft_integration_tests::searches::{Searches, manifest};
use serde_json::{Value, json};

/// A Prometheus as a process; killed when it is dropped.
struct Prometheus {
    child: Child,
    address: String,
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
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let child = Command::new(Path::new(&programs).join("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus starts");
        Self { child, address }
    }

    fn ask(&self, path: &str, query: &str) -> Value {
        let output = Command::new("curl")
            .args(["-sG", "--data-urlencode", &format!("query={query}")])
            .arg(format!("http://{}/api/v1/{path}", self.address))
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
        let prometheus = Prometheus::start(operator.port, folder.path());
        eventually("Prometheus sees the leader", async || {
            prometheus.numbers("autopeft_leader") == [1.0]
        })
        .await;
        let searches = Searches::of(&client, "monitored");
        searches
            .create(&manifest("one", &json!({"maxTrials": 10})))
            .await
            .expect("valid");
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
