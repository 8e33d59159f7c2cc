// Command step is the only program in the images of the tests: it writes its
// second argument to the file that its first one names. What is in a third one
// follows.
//
//	RUN ["/bin/step", "/out.txt", "text"]
//	RUN ["/bin/step", "/out.txt", "text", "/large.txt"]
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		fmt.Fprintln(os.Stderr, "usage: step FILE TEXT [CONTENT]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the text and the contents to a new file.
func run(name, text string, contents []string) (err error) {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := out.WriteString(text); err != nil {
		return err
	}
	for _, content := range contents {
		in, err := os.Open(content)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		if err := errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}
