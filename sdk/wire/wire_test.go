package wire

import (
	"testing"

	"github.com/gocodealone/wfctl/sdk"
)

func TestFirst(t *testing.T) {
	ends(t, func(t *testing.T, c *Conn) {
		s, err := c.Schema(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Log(s.Name, s.Capabilities)
		h := &heard{}
		r, err := c.Create(t.Context(), &sdk.CreateRequest{Type: "fake.thing", Name: "a", IdempotencyKey: "k"}, h)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r, h.all())
	})
}
