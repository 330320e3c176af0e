// Prints what kubectl makes of words without quotes: a line each, the word and its JSON, a tab between them.
//
//	go mod init words && go get sigs.k8s.io/yaml@v1.6.0 && go run words.go > words.tsv
package main

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

const words = `~ null Null NULL nULL true True TRUE tRUE false False FALSE
y Y yes Yes YES yEs on On ON oN n N no No NO nO off Off OFF oFf t f none None
0 1 7 08 09 010 0100 00 000000 000001 000010 001111 0111111111111111111111111 101010 0o17 0O17 0o18 0x10 0XfF 0xg 0b11 0B1 0b2 0x 0b 0o
1_000 1__0 _1 1_ 0_7 0x_f 1_0.5_0 1_000e1 ._5 .5_0 1_a
1.0 1. .5 +.5 -.5 . .. -. + - +1 -1 +-1 --1 -0 +0 -010 -0x10 +0o7 -0b1 1.5.2 1.10 000.5
1e9 1E9 1e+9 1e-4 5e-4 5.0e-4 1e 1e+ e9 1e400 -1e400 1e-400 .5e3 0e0 1e2 00e1 1e0x1 1_0e1_0
9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 -9223372036854775808
-9223372036854775809 +9223372036854775808 +18446744073709551615 9007199254740993 9007199254740993.0
.inf .Inf .INF +.inf -.inf -.Inf +.INF .nan .NaN .NAN +.nan inf nan Infinity NaN
1:30 12:30:45 1:30.5 190:20:30 2026-11-24 2026-11-24T10:00:00Z 2026-1-2 2026-13-45 10:00
1.2.3 v1 1k 1Ki 16Gi 500m 2Gi 1e9i 1,000 1/2 50% 1e5x 0755 0644 12e03 1d 0xdeadbeef`

func main() {
	for _, word := range strings.Fields(words) {
		json, err := yaml.YAMLToJSON([]byte("a: " + word + "\n"))
		read := strings.TrimSuffix(strings.TrimPrefix(string(json), "{\"a\":"), "}")
		if err != nil {
			read = "refused"
		}
		fmt.Printf("%s\t%s\n", word, read)
	}
}
