package upstream_test

import (
	"context"
	"fmt"

	"github.com/bkguard/bkguard/upstream"
)

func ExampleCheck() {
	defects, err := upstream.Check(context.Background())
	fmt.Println(defects, err)
	// Output: [product sharedDescriptors walkOrder lazyVariants equalResults inlineVariants] <nil>
}
