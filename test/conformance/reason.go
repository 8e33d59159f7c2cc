package main

import (
	"regexp"
	"strings"
)

// reason is why a test fails with both daemons.
type reason struct {
	title string
	// says is what such a test writes.
	says *regexp.Regexp
}

// reasons are in the order in which they are looked for.
var reasons = []reason{
	{"Needs a network", regexp.MustCompile(`lookup \S+( on \S+)?: |[Cc]ould not resolve host|bad address '|Temporary failure in name resolution|network is unreachable|docker\.io/\S+: not found|apk add`)},
	{"Needs CNI plugins", regexp.MustCompile(`(?s)netmode=(?:bridge|dns).*(?:process exited while waiting for socket|error reading server preface|Error while dialing: dial unix)`)},
	{"Needs upstream's own images", regexp.MustCompile(`compatibility regression mismatch|ttysize: not found|Segmentation fault|adduser|addgroup|alpine-release|expected: "sha256:`)},
	{"Needs a capability that root does not have here", regexp.MustCompile(`expected: 0x3f+\s+actual|CapBnd`)},
	{"Needs a program that is not there", regexp.MustCompile(`executable file not found|failed to lookup \S+ binary|missing requirements`)},
}

// unexplained is the title of those that no reason is found for.
const unexplained = "For another reason"

// logs is where upstream begins to print the logs of the daemon, which say a lot that the
// test has not failed of (util/testutil/integration/sandbox.go).
const logs = " sandbox.go:"

// reasonOf returns the title of the reason that a test gives.
func reasonOf(output string) string {
	output, _, _ = strings.Cut(output, logs)
	for _, r := range reasons {
		if r.says.MatchString(output) {
			return r.title
		}
	}
	return unexplained
}

// complaint is the part of what testify writes that says what is wrong, plain is what a
// test writes by itself.
var (
	complaint = regexp.MustCompile(`(?s)Error:\s+(.*?)\n\s*(?:Test:|Messages:|Error Trace:)`)
	plain     = regexp.MustCompile(`(?s)_test\.go:\d+: (.*)`)
)

// frame is a line of a stack, which follows the text of an error.
var frame = regexp.MustCompile(`^[\w./-]+\.[\w.()*-]+$`)

// here are the parts of a complaint that are of the machine, or other ones each time.
var here = regexp.MustCompile(` on [\d.]+:53\b|/tmp/bkguard-[\w/-]*/|:\d{5}\b| after [\d.]+m?s\b|\bbktest_\w+| of ref [\w:]+`)

// maxComplaint is how much of a complaint the page has.
const maxComplaint = 160

// complaintOf is what a test says that it has failed of.
func complaintOf(output string) string {
	output, _, _ = strings.Cut(output, logs)
	if m := complaint.FindStringSubmatch(output); m != nil {
		return strings.TrimPrefix(withoutStack(m[1]), "Received unexpected error: ")
	}
	if m := plain.FindStringSubmatch(output); m != nil {
		text, _, _ := strings.Cut(m[1], "--- FAIL: ")
		return withoutStack(text)
	}
	return ""
}

// withoutStack is a text in one line, up to the stack of an error.
func withoutStack(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if frame.MatchString(line) || strings.HasPrefix(line, "Diff:") {
			break
		}
		words = append(words, strings.Fields(line)...)
	}
	return here.ReplaceAllString(strings.Join(words, " "), "")
}

// skipped is the line of a test that says why it is skipped: the last one of its own,
// such as "client_test.go:20: requires root".
var skipped = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: (.*)$`)

// skipReasonOf is why a test is skipped, in its own words.
func skipReasonOf(output string) string {
	all := skipped.FindAllStringSubmatch(output, -1)
	if len(all) == 0 {
		return "without a word"
	}
	return shortened(all[len(all)-1][1])
}

// shortened is the beginning of a text.
func shortened(text string) string {
	if runes := []rune(text); len(runes) > maxComplaint {
		return string(runes[:maxComplaint]) + " ..."
	}
	return text
}
