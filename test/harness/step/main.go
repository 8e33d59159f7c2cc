// Command step is the only program in the images of the tests: it writes its
// second argument to the file that its first one names.
//
//	RUN ["/bin/step", "/out.txt", "text"]
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: step FILE TEXT")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(os.Args[2]), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
