"""Turns the rated sentences of the vaderSentiment source package into JSONL files.

usage: prepare_text.py PACKAGE.tar.gz OUT

OUT/movie-reviews and OUT/tweets get a train.jsonl and a validation.jsonl each, one object a line:
`text`, `rating` (the mean of the human ratings, -4 to 4) and `label` (the sign of the rating,
"negative" or "positive"). A sentence rated exactly 0 has no sign and is left out, and of equal
texts only the first is kept. About a fifth of the sentences, chosen by the hash of the text, is for
validation, so that the split is the same everywhere and no text is in both parts.
"""

import hashlib
import io
import json
import pathlib
import sys
import tarfile

SETS = {
    "movie-reviews": "movieReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
}


def ratings(package: str) -> dict[str, str]:
    """The text of each ratings file, by its name."""
    with tarfile.open(package) as outer:
        inner = next(m for m in outer if m.name.endswith("/hutto_ICWSM_2014.tar.gz"))
        data = outer.extractfile(inner).read()
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.rsplit("/", 1)[-1]
            if name in SETS.values() and "/._" not in member.name:
                found[name] = archive.extractfile(member).read().decode("utf-8-sig", errors="replace")
    return found


def main() -> None:
    package, out = sys.argv[1], pathlib.Path(sys.argv[2])
    files = ratings(package)
    for name, file in SETS.items():
        parts: dict[str, list[str]] = {"train": [], "validation": []}
        seen = set()
        for line in files[file].split("\n"):
            fields = line.rstrip("\r").split("\t")
            if len(fields) != 3:
                continue
            rating, text = float(fields[1]), " ".join(fields[2].split())
            if rating == 0.0 or not text or text in seen:
                continue
            seen.add(text)
            part = "validation" if hashlib.sha256(text.encode()).digest()[0] < 51 else "train"
            label = "positive" if rating > 0 else "negative"
            record = {"text": text, "label": label, "rating": round(rating, 6)}
            parts[part].append(json.dumps(record, ensure_ascii=False))
        folder = out / name
        folder.mkdir(parents=True)
        for part, lines in parts.items():
            (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
            positive = sum('"positive"' in line for line in lines)
            print(f"{name}/{part}.jsonl: {len(lines)} sentences, {positive} positive")


if __name__ == "__main__":
    main()
