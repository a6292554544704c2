package web

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"github.com/gocodealone/wfctl/event"
)

// heartbeat is how often an idle stream says that it lives, so that proxies
// and laptops that slept find out.
const heartbeat = 15 * time.Second

// events is the live stream of a run. It begins after the number that the
// browser says it has seen (Last-Event-ID), else after `after`.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	last, err := strconv.ParseUint(after, 10, 64)
	if err != nil && after != "" {
		http.Error(w, "after is a number", http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	flush := http.NewResponseController(w)
	if _, err := w.Write([]byte("retry: 1000\n\n")); err != nil || flush.Flush() != nil {
		return
	}
	records := make(chan event.Record, 64)
	go func() {
		defer close(records)
		for rec, err := range s.store.Follow(r.Context(), r.PathValue("run"), last, false) {
			if err != nil {
				return
			}
			select {
			case records <- rec:
			case <-r.Context().Done():
				return
			}
		}
	}()
	s.stream(w, flush, records)
}

// stream writes records, as many at a time as there are.
func (s *Server) stream(w http.ResponseWriter, flush *http.ResponseController, records <-chan event.Record) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var b bytes.Buffer
	for {
		b.Reset()
		select {
		case <-ticker.C:
			b.WriteString(": alive\n\n")
		case rec, ok := <-records:
			if !ok { // the run is over: the browser need not come again
				_, _ = w.Write([]byte("event: end\ndata: {}\n\n"))
				_ = flush.Flush()
				return
			}
			write(&b, rec)
			for more := true; more && b.Len() < 32<<10; {
				select {
				case rec, ok := <-records:
					if more = ok; ok {
						write(&b, rec)
					}
				default:
					more = false
				}
			}
		}
		if _, err := w.Write(b.Bytes()); err != nil || flush.Flush() != nil {
			return
		}
	}
}

// write writes one record. Encoded JSON has no line breaks.
func write(b *bytes.Buffer, rec event.Record) {
	raw, err := event.Encode(rec.Event)
	if err != nil {
		return
	}
	b.WriteString("id: ")
	b.Write(strconv.AppendUint(b.AvailableBuffer(), rec.Seq, 10))
	b.WriteString("\ndata: ")
	b.Write(raw)
	b.WriteString("\n\n")
}
