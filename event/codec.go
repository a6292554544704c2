package event

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Encode writes an event as one JSON object with its kind as "event".
func Encode(e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Event string `json:"event"`
	}{e.Kind()})
	if err != nil || len(body) <= 2 {
		return head, err
	}
	return append(append(head[:len(head)-1], ','), body[1:]...), nil
}

// Decode reads what Encode wrote. A kind that this version does not know is
// a Notice that says so: a newer wfctl may have written it.
func Decode(raw []byte) (Event, error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	switch kind {
	case "run.started":
		return decode[RunStarted](raw)
	case "plan.ready":
		return decode[PlanReady](raw)
	case "node.started":
		return decode[NodeStarted](raw)
	case "node.progress":
		return decode[NodeProgress](raw)
	case "node.log":
		return decode[NodeLog](raw)
	case "node.warning":
		return decode[NodeWarning](raw)
	case "node.finished":
		return decode[NodeFinished](raw)
	case "steps.planned":
		return decode[StepsPlanned](raw)
	case "approval.requested":
		return decode[ApprovalRequested](raw)
	case "approval.given":
		return decode[ApprovalGiven](raw)
	case "published":
		return decode[Published](raw)
	case "notice":
		return decode[Notice](raw)
	case "run.finished":
		return decode[RunFinished](raw)
	}
	return Notice{Level: "info", Message: fmt.Sprintf("an event %q, which this version of wfctl does not know", kind)}, nil
}

// kindOf reads the kind, which Encode writes first; reading the object twice
// for it would cost as much as the rest.
func kindOf(raw []byte) (string, error) {
	if rest, ok := bytes.CutPrefix(raw, []byte(`{"event":"`)); ok {
		if kind, _, ok := bytes.Cut(rest, []byte{'"'}); ok {
			return string(kind), nil
		}
	}
	var head struct {
		Event string `json:"event"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return "", fmt.Errorf("read an event: %w", err)
	}
	return head.Event, nil
}

func decode[E Event](raw []byte) (Event, error) {
	var e E
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("read an event: %w", err)
	}
	return e, nil
}

// Within is a sink for the part of a run that one step carries out: what it
// emits belongs to the step, and does not open or close the run itself.
func Within(parent string, to Sink) Sink {
	return SinkFunc(func(e Event) {
		switch e := e.(type) {
		case RunStarted, RunFinished:
		case NodeStarted:
			e.Parent = parent
			to.Emit(e)
		case NodeProgress:
			e.Parent = parent
			to.Emit(e)
		case NodeLog:
			e.Parent = parent
			to.Emit(e)
		case NodeWarning:
			e.Parent = parent
			to.Emit(e)
		case NodeFinished:
			e.Parent = parent
			to.Emit(e)
		default:
			to.Emit(e)
		}
	})
}
