package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/gocodealone/wfctl/sdk"
)

// ports hands out loopback ports and remembers them, so that two processes
// that have not bound theirs yet do not get the same. They lie below what
// systems use for outgoing connections, which would take one away in between.
type ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

const firstPort, portCount = 20000, 12000

func newPorts() *ports { return &ports{taken: map[int]bool{}} }

func (p *ports) free() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	start := rand.IntN(portCount)
	for i := range portCount {
		port := firstPort + (start+i)%portCount
		if !p.taken[port] && canBind(port) {
			p.taken[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free port on the loopback interface")
}

func (p *ports) release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// FreePort finds a loopback port that nothing listens on.
func FreePort() (int, error) { return newPorts().free() }

func canBind(port int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			return false
		}
		_ = ln.Close()
	}
	return true
}

// CheckPort returns nil when a loopback port can be bound, else an error
// that names it and, where that can be found out, who holds it.
func CheckPort(port int) error {
	ln, err := net.Listen("tcp", loopback(port))
	if err != nil {
		return portError(port, err)
	}
	return ln.Close()
}

func portError(port int, err error) error {
	if !isAddressInUse(err) {
		return &sdk.Error{Code: sdk.CodeInvalid, Message: fmt.Sprintf("port %d cannot be used: %v", port, err),
			Hint: "choose a port above 1023"}
	}
	message := fmt.Sprintf("port %d is in use", port)
	if who := portHolder(port); who != "" {
		message += " by " + who
	}
	return &sdk.Error{Code: sdk.CodeConflict, Message: message,
		Hint: "stop that process, or choose another port in the configuration"}
}
