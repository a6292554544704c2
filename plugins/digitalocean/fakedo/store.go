package fakedo

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An object is a resource of the account.
type object struct {
	kind, id string
	name     string
	doc      doc
	project  string
	vpc      string
	ours     bool // the account had it from the start, nobody made it
	hidden   int  // reads that still do not find it
	unlisted int  // lists that still leave it out
	parts    map[string][]doc
	secret   map[string]string
}

// A shelf has the objects of a kind, in the order they were made.
type shelf struct{ objects []*object }

func (s *Server) shelf(kind string) *shelf {
	if s.shelves[kind] == nil {
		s.shelves[kind] = &shelf{}
	}
	return s.shelves[kind]
}

// add puts an object on its shelf, hidden for as long as the call says.
func (s *Server) add(c *call, o *object) *object {
	if c != nil {
		o.hidden, o.unlisted = c.lag, c.lag
	}
	if o.parts == nil {
		o.parts = map[string][]doc{}
	}
	if o.secret == nil {
		o.secret = map[string]string{}
	}
	sh := s.shelf(o.kind)
	sh.objects = append(sh.objects, o)
	s.everMade[o.kind+" "+o.name]++
	for _, tag := range texts(o.doc, "tags") {
		s.ensureTag(tag)
	}
	return o
}

// read finds an object as a client does, who may come too early.
func (s *Server) read(kind, id string) *object {
	o := s.find(kind, id)
	if o != nil && o.hidden > 0 {
		o.hidden--
		return nil
	}
	return o
}

func (s *Server) find(kind, id string) *object {
	for _, o := range s.shelf(kind).objects {
		if o.id == id {
			return o
		}
	}
	return nil
}

func (s *Server) named(kind, name string) *object {
	for _, o := range s.shelf(kind).objects {
		if o.name == name {
			return o
		}
	}
	return nil
}

// listed is what a list shows now.
func (s *Server) listed(kind string, keep func(*object) bool) (out []*object) {
	for _, o := range s.shelf(kind).objects {
		if o.unlisted > 0 {
			o.unlisted--
			continue
		}
		if keep == nil || keep(o) {
			out = append(out, o)
		}
	}
	return out
}

// drop takes an object away; its VPC knows it for a while longer.
func (s *Server) drop(o *object) {
	s.leave(o)
	sh := s.shelf(o.kind)
	sh.objects = slices.DeleteFunc(sh.objects, func(e *object) bool { return e == o })
	if o.vpc != "" {
		s.leaving = append(s.leaving, leaving{vpc: o.vpc, urn: o.urn(), name: o.name, since: str(o.doc, "created_at"), until: s.now.Add(leaveTime)})
	}
}

// full says that the account may have no more of a kind.
func (s *Server) full(kind string) (reply, bool) {
	limit, has := s.opts.Quotas[kind]
	if !has || len(s.made(kind)) < limit {
		return reply{}, false
	}
	return refused(fmt.Sprintf("creating this %s would exceed your account's limit of %d", kind, limit)), true
}

func (s *Server) made(kind string) (out []*object) {
	for _, o := range s.shelf(kind).objects {
		if !o.ours {
			out = append(out, o)
		}
	}
	return out
}

// Remaining names what the account still has that somebody made, as "kind name".
func (s *Server) Remaining() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	var out []string
	for kind := range s.shelves {
		if kind == "tag" || kind == "action" {
			continue // a tag costs nothing and cannot be told from a user's
		}
		for _, o := range s.made(kind) {
			out = append(out, kind+" "+o.name)
		}
	}
	slices.Sort(out)
	return out
}

// Empty says that nothing is left of what anybody made, tags apart.
func (s *Server) Empty() bool { return len(s.Remaining()) == 0 }

// Made is how often each "kind name" was made, ever: a resource that was made
// twice, because a client did not know that the first time had succeeded, shows
// as 2 even when one of them is gone.
func (s *Server) Made() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.everMade)
}

// Tags names the tags of the account.
func (s *Server) Tags() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.shelf("tag").objects {
		out = append(out, o.name)
	}
	return out
}

var urnKinds = map[string]string{
	"vpc": "vpc", "database": "dbaas", "droplet": "droplet", "domain": "domain", "load_balancer": "loadbalancer",
	"kubernetes": "kubernetes", "volume": "volume", "app": "app",
}

func (o *object) urn() string {
	if kind := urnKinds[o.kind]; kind != "" {
		return "do:" + kind + ":" + o.id
	}
	return ""
}

func newDice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }

// hex makes n random hexadecimal digits.
func (s *Server) hex(n int) string {
	b := make([]byte, (n+1)/2)
	for i := range b {
		b[i] = byte(s.random.UintN(256))
	}
	return hex.EncodeToString(b)[:n]
}

func (s *Server) uuid() string {
	h := s.hex(32)
	return fmt.Sprintf("%s-%s-4%s-a%s-%s", h[:8], h[8:12], h[13:16], h[17:20], h[20:])
}

func (s *Server) requestID() string {
	// A source of its own: ids must not depend on how often a client retries.
	return fmt.Sprintf("%08x-fa4e-4d00-8000-%012x", rand.Uint32(), rand.Uint64()&0xffffffffffff)
}

func (s *Server) number() int {
	s.nextInt++
	return s.nextInt
}

func (s *Server) stamp() string { return stamp(s.now) }

// page cuts a list as the query asks, with links and the total.
func page[T any](c *call, key string, all []T, show func(T) any) reply {
	per, at := queryInt(c.query, "per_page", 20), queryInt(c.query, "page", 1)
	last := max((len(all)+per-1)/per, 1)
	from, to := min((at-1)*per, len(all)), min(at*per, len(all))
	shown := []any{}
	for _, e := range all[from:to] {
		shown = append(shown, show(e))
	}
	pages := doc{}
	link := func(name string, n int) {
		q := c.req.URL.Query()
		q.Set("page", strconv.Itoa(n))
		pages[name] = c.base + c.req.URL.Path + "?" + q.Encode()
	}
	if at > 1 {
		link("first", 1)
		link("prev", at-1)
	}
	if at < last {
		link("next", at+1)
		link("last", last)
	}
	links := doc{}
	if len(pages) > 0 {
		links["pages"] = pages
	}
	return ok(doc{key: shown, "links": links, "meta": doc{"total": len(all)}})
}

func queryInt(q url.Values, key string, otherwise int) int {
	n, err := strconv.Atoi(q.Get(key))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

func docOf(o *object) any { return o.doc }

// taken refuses a second object of a name.
func (s *Server) taken(kind, name, message string) (reply, bool) {
	if s.named(kind, name) == nil {
		return reply{}, false
	}
	return problem(http.StatusUnprocessableEntity, message), true
}

// hasTag is the filter of lists by tag_name.
func hasTag(tag string) func(*object) bool {
	if tag == "" {
		return nil
	}
	return func(o *object) bool { return slices.Contains(texts(o.doc, "tags"), tag) }
}

// leaving is a member of a VPC that was deleted just now: the network frees
// its address with a delay, and until then it cannot be deleted.
type leaving struct {
	vpc, urn, name, since string
	until                 time.Time
}

const leaveTime = 40 * time.Second

func trimTo(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.TrimRight(text[:n], "-")
}
