package state

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gocodealone/wfctl/fault"
	"github.com/gocodealone/wfctl/resource"
)

// player writes batches as sessions do and plays them.
type player struct {
	t       *table
	session string
	entries []Entry
	now     time.Time
}

func (p *player) write(tb rapid.TB, items ...item) {
	p.now = p.now.Add(time.Second)
	raws := make([][]byte, len(items))
	for i := range items {
		raw, err := marshal(items[i])
		if err != nil {
			tb.Fatal(err)
		}
		raws[i] = raw
	}
	b := &batch{Time: p.now, Session: p.session, Prev: p.t.sum, Items: items}
	data, sum, err := encodeBatch(*b, raws)
	if err != nil {
		tb.Fatal(err)
	}
	seq := p.t.seq + 1
	if err := p.t.play(seq, sum, len(data), b); err != nil {
		tb.Fatal(err)
	}
	p.entries = append(p.entries, Entry{Seq: seq, Data: data})
}

func (p *player) begin(tb rapid.TB) {
	var items []item
	if p.t.seq == 0 {
		items = append(items, item{Genesis: &genesis{Lineage: "L", Project: "p", Environment: "e"}})
	}
	p.session = fmt.Sprint("s", p.t.seq)
	p.write(tb, append(items, item{Lease: &leaseItem{Holder: Holder{Who: "w"}, TTL: time.Minute, Dead: p.t.seq%2 == 0}})...)
}

var text = rapid.SampledFrom([]string{"a", "b", "c", "é<>&\u2028", `"\`, "a b"})

func drawRecord(t *rapid.T) resource.Record {
	return resource.Record{
		Address: resource.Address(text.Draw(t, "addr")), Deposed: rapid.SampledFrom([]string{"", "", "d"}).Draw(t, "deposed"),
		Name: text.Draw(t, "name"), ID: text.Draw(t, "id"), Config: json.RawMessage(`{"a":"<&>"}`), Updated: time.Unix(int64(rapid.IntRange(0, 9).Draw(t, "at")), 1).UTC(),
		Outputs: map[string]resource.RecordedOutput{text.Draw(t, "out"): {Value: json.RawMessage(`[1, 2]`)}},
	}
}

func drawItem(t *rapid.T) item {
	rec := drawRecord(t)
	key := text.Draw(t, "key")
	return rapid.SampledFrom([]item{
		{Intent: &resource.Intent{Key: key, Address: rec.Address, Deadline: rec.Updated}},
		{Assigned: &assigned{Intent: key, ID: rec.ID}},
		{Result: &result{Intent: key, Record: rec}},
		{Result: &result{Intent: key, Same: true, Record: resource.Record{ID: rec.ID, Outputs: rec.Outputs}}},
		{Forgot: &forgot{Intent: key, Address: rec.Address, Deposed: rec.Deposed}},
		{Abandoned: &abandoned{Intent: key}},
		{Moved: &moved{From: rec.Address, To: resource.Address(key), ToDeposed: rec.Deposed}},
		{Provider: &resource.ProviderRecord{Provider: resource.Provider{Address: rec.Address, Kind: key}, Version: rec.ID}},
		{Key: &keyItem{ID: rec.ID, Sealed: []byte(key)}},
	}).Draw(t, "item")
}

// However a log comes about, playing its bytes gives the same picture as
// having written them, and so does any snapshot with the rest after it.
func TestReplayAndSnapshotsAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
		p.begin(rt)
		steps := rapid.IntRange(0, 25).Draw(rt, "steps")
		cut := rapid.IntRange(0, steps).Draw(rt, "cut")
		var snap []byte
		var through uint64
		for i := range steps + 1 {
			if i == cut {
				var err error
				if snap, err = p.t.snapshot(); err != nil {
					rt.Fatal(err)
				}
				through = p.t.seq
			}
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				p.write(rt, item{Released: &released{}})
				p.begin(rt)
			case 1:
				p.begin(rt)
			default:
				p.write(rt, rapid.SliceOfN(rapid.Custom(drawItem), 0, 4).Draw(rt, "items")...)
			}
		}
		want := p.t.view()
		samePicture(rt, want, replay(rt, newTable(), p.entries))
		from, err := fromSnapshot(through, snap)
		if err != nil {
			rt.Fatal(err)
		}
		samePicture(rt, want, replay(rt, from, p.entries[through:]))
	})
}

func replay(tb rapid.TB, t *table, entries []Entry) *View {
	for _, e := range entries {
		b, sum, err := decodeBatch(e.Data)
		if err != nil {
			tb.Fatal(err)
		}
		if err := t.play(e.Seq, sum, len(e.Data), b); err != nil {
			tb.Fatal(err)
		}
	}
	return t.view()
}

func samePicture(tb rapid.TB, want, got *View) {
	a, errA := json.Marshal(want)
	b, errB := json.Marshal(got)
	if errA != nil || errB != nil || string(a) != string(b) {
		tb.Fatalf("want %s\ngot  %s", a, b)
	}
}

// A change of any byte, a cut anywhere and another order are all noticed.
func TestDamageIsNoticed(t *testing.T) {
	p := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
	p.begin(t)
	p.write(t, item{Result: &result{Record: resource.Record{Address: "db", ID: "1", Config: json.RawMessage(`{"a":1}`)}}})
	p.write(t, item{Result: &result{Record: resource.Record{Address: "web", ID: "2"}}})
	data := p.entries[1].Data
	for i := range data {
		changed := append([]byte(nil), data...)
		changed[i] ^= 1
		if _, _, err := decodeBatch(changed); err == nil {
			t.Errorf("a change of byte %d (%q) went unnoticed", i, data[i])
		}
		if _, _, err := decodeBatch(data[:i]); fault.CodeOf(err) != fault.State {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	swapped := newTable()
	if err := swapped.play(1, p.t.sum, 0, mustDecode(t, p.entries[0].Data)); err != nil {
		t.Fatal(err)
	}
	if err := swapped.play(2, 0, 0, mustDecode(t, p.entries[2].Data)); fault.CodeOf(err) != fault.State {
		t.Errorf("an entry in another's place: %v", err)
	}
}

func mustDecode(t *testing.T, data []byte) *batch {
	t.Helper()
	b, _, err := decodeBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An entry of a writer from another time counts for nothing.
func TestStrayEntriesAreIgnored(t *testing.T) {
	p := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
	p.begin(t)
	p.write(t, item{Result: &result{Record: resource.Record{Address: "db"}}})
	own := p.session
	for _, stray := range [][]item{
		{{Result: &result{Record: resource.Record{Address: "ghost"}}}},
		{{Forgot: &forgot{Address: "db"}}},
		{{Released: &released{}}},
		nil,
	} {
		p.session = "stale"
		p.write(t, stray...)
	}
	p.session = own
	p.write(t, item{Result: &result{Record: resource.Record{Address: "web"}}})
	v := p.t.view()
	if len(v.Records) != 2 || v.Records[0].Address != "db" || v.Records[1].Address != "web" || v.Lease == nil {
		t.Errorf("records %v, lease %v", v.Records, v.Lease)
	}
}

func TestVersions(t *testing.T) {
	for name, data := range map[string]string{
		"empty": "", "not ours": "SQLite format 3", "no version": "wfctl-log/ 00000000\n{}", "zero": "wfctl-log/0 00000000\n{}",
		"wrong sum": "wfctl-log/1 00000000\n{}", "no line": "wfctl-log/1 00000000",
	} {
		if _, _, err := decodeBatch([]byte(data)); fault.CodeOf(err) != fault.State {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown, _ := frame(entryMagic, []byte(`{"t":"2026-01-01T00:00:00Z","s":"x","e":[{"surprise":{}}]}`))
	if _, _, err := decodeBatch(unknown); fault.CodeOf(err) != fault.State {
		t.Errorf("an unknown entry: %v", err)
	}
	_, _, err := decodeBatch([]byte("wfctl-log/2 whatever is here\n"))
	if fault.CodeOf(err) != fault.State || err.Error() != "the state is of format 2, and this wfctl knows formats up to 1" {
		t.Errorf("a newer format: %v", err)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	p := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
	p.begin(f)
	p.write(f, item{Result: &result{Record: resource.Record{Address: "db", Config: json.RawMessage(`{"a":1}`)}}})
	for _, e := range p.entries {
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, err := decodeBatch(body); err != nil && fault.CodeOf(err) != fault.State {
			t.Errorf("an error of another kind: %v", err)
		}
		framed, _ := frame(entryMagic, body) // past the checksum
		b, sum, err := decodeBatch(framed)
		if err != nil {
			return
		}
		_ = newTable().play(1, sum, len(framed), b) // must not panic
		held := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
		held.begin(t)
		b.Session, b.Prev = held.session, held.t.sum
		_ = held.t.lines(2, b)
		_ = held.t.play(2, sum, len(framed), b)
		_ = held.t.view()
	})
}

func FuzzSnapshot(f *testing.F) {
	p := &player{t: newTable(), now: time.Unix(1e9, 0).UTC()}
	p.begin(f)
	snap, err := p.t.snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snap)
	f.Add([]byte(`{"lineage":"L","project":"p","env":"e","sum":1,"pending":[null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		framed, _ := frame(snapshotMagic, body)
		for _, data := range [][]byte{body, framed} {
			if tab, err := fromSnapshot(7, data); err == nil {
				_ = tab.view()
				_, _ = unpackHistory(tab.history, func(HistoryEntry) bool { return true })
			}
		}
	})
}

func TestResultLeavesOutWhatTheIntentSays(t *testing.T) {
	rec := resource.Record{
		Address: "db", Name: "n", Type: "infra.database", Provider: resource.Provider{Address: "c", Kind: "k"}, ID: "id", Config: json.RawMessage(`{"a":1}`),
		Digest: "d", DependsOn: []resource.Address{"x"}, Lifecycle: resource.Lifecycle{PreventDestroy: true}, Run: "r", SchemaVersion: 2,
		Outputs: map[string]resource.RecordedOutput{"o": {Value: json.RawMessage("1")}},
	}
	in := resource.Intent{Key: "k", Address: "db", Name: "n", Type: rec.Type, Provider: rec.Provider, Config: rec.Config, Digest: "d", DependsOn: rec.DependsOn, Lifecycle: rec.Lifecycle, Run: "r"}
	l := &Log{table: newTable()}
	l.table.pending["k"] = &pendingState{Intent: in}
	short := l.shorten(&result{Intent: "k", Record: rec})
	if !short.Same || short.Record.Config != nil || short.Record.ID != "id" {
		t.Errorf("shortened to %+v", short)
	}
	if got := l.table.fill(short); !reflect.DeepEqual(got, rec) {
		t.Errorf("filled to %+v", got)
	}
	other := rec
	other.Config = json.RawMessage(`{"a":2}`)
	if l.shorten(&result{Intent: "k", Record: other}).Same {
		t.Error("a result that differs from its intent was shortened")
	}
}
