// Package harness runs real daemons, registries and clients for end-to-end
// tests and for the demo.
//
// Nothing it starts outlives the process that uses it. A child is killed when
// its parent dies, daemons have a mount namespace of their own, so their mounts
// go with them, and stopping a daemon also ends and reaps what it left behind.
// Linux and root are required.
package harness
