//! Models of a hub, which is played by a thread: the file that a repository may lack.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::common::program::{program, text};
use crate::common::{configuration, small_request, small_trial};

/// Serves a directory's files as the hub does; gives the endpoint.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away is no failure of the hub.
            let _ = answer(stream, &folder);
        }
    });
    format!("http://{address}")
}

/// Answers `GET /OWNER/NAME/resolve/REVISION/FILE`: the first byte for its headers, else all.
fn answer(mut stream: TcpStream, folder: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut is_look = false;
    for line in lines {
        let line = line?;
        is_look |= line.eq_ignore_ascii_case("range: bytes=0-0");
        if line.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    let Ok(content) = std::fs::read(folder.join(file)) else {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    };
    let body = if is_look { &content[..1] } else { &content };
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{file}\"\r\nX-Repo-Commit: {}\r\n\
         Content-Range: bytes 0-{}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        "a".repeat(40),
        body.len() - 1,
        content.len(),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

#[test]
fn a_repository_may_lack_the_tokenizers_settings() {
    let nowhere = "http://127.0.0.1:9";
    for settings in [None, Some(json!({"do_lower_case": true}))] {
        let folder = small_trial();
        let cache = tempfile::tempdir().expect("a folder");
        if let Some(settings) = &settings {
            let file = folder.path().join("tokenizer_config.json");
            std::fs::write(file, settings.to_string()).expect("a file");
        }
        let changes = [
            ("/model", json!("hf://owner/name@main")),
            ("/fidelity/epochs", json!(1)),
        ];
        let request = small_request(folder.path(), &configuration("011", 4, 0, 0), &changes);
        let file = folder.path().join("request.json");
        std::fs::write(&file, request.to_string()).expect("a request");
        // The second time nothing is asked for.
        for endpoint in [serve(folder.path().into()).as_str(), nowhere] {
            let output = program()
                .args([
                    "train",
                    "--device",
                    "cpu",
                    "--threads",
                    "1",
                    "--overwrite",
                    "--request",
                ])
                .arg(&file)
                .arg("--out")
                .arg(cache.path().join("out"))
                .env("XDG_CACHE_HOME", cache.path())
                .env("HF_ENDPOINT", endpoint)
                .output()
                .expect("the program starts");
            let said = text(&output.stderr);
            assert!(output.status.success(), "{said}");
            assert_eq!(
                said.contains("do_lower_case: true"),
                settings.is_some(),
                "{said}"
            );
        }
    }
}
