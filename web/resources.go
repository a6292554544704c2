package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gocodealone/wfctl/fault"
)

// The size of the drawing.
const (
	boxWidth, boxHeight = 190, 50
	gapX, gapY          = 70, 22
)

// box is a node of the drawing, line an edge.
type box struct {
	Node
	X, Y int
	// Class says how it is drawn, Says the same in words.
	Class, Says string
}

type line struct{ X1, Y1, X2, Y2, MX int }

type drawing struct {
	Graph
	Width, Height int
	Boxes         []box
	Lines         []line
	Pending       int
}

// draw lays the graph out from left to right: what a node depends on stands
// left of it.
func draw(g Graph) drawing {
	d := drawing{Graph: g}
	depth := depths(g.Nodes)
	rows := map[int]int{}
	at := map[string][2]int{}
	for _, n := range g.Nodes {
		column := depth[n.Address]
		x, y := 10+column*(boxWidth+gapX), 10+rows[column]*(boxHeight+gapY)
		rows[column]++
		at[n.Address] = [2]int{x, y}
		b := box{Node: n, X: x, Y: y, Class: n.Status, Says: n.Status}
		if n.Action != "" {
			b.Class, b.Says = n.Action, n.Status+", plan: "+n.Action
			d.Pending++
		}
		d.Boxes = append(d.Boxes, b)
		d.Width, d.Height = max(d.Width, x+boxWidth+10), max(d.Height, y+boxHeight+10)
	}
	for _, n := range g.Nodes {
		to := at[n.Address]
		for _, dep := range n.DependsOn {
			if from, ok := at[dep]; ok {
				l := line{X1: from[0] + boxWidth, Y1: from[1] + boxHeight/2, X2: to[0], Y2: to[1] + boxHeight/2}
				l.MX = (l.X1 + l.X2) / 2
				d.Lines = append(d.Lines, l)
			}
		}
	}
	return d
}

// depths is the longest way from each node to one that depends on nothing.
func depths(nodes []Node) map[string]int {
	byName := map[string]Node{}
	for _, n := range nodes {
		byName[n.Address] = n
	}
	depth := map[string]int{}
	var of func(name string, way []string) int
	of = func(name string, way []string) int {
		if d, ok := depth[name]; ok {
			return d
		}
		d := 0
		for _, dep := range byName[name].DependsOn {
			if _, ok := byName[dep]; ok && !slices.Contains(way, dep) {
				d = max(d, of(dep, append(way, name))+1)
			}
		}
		depth[name] = d
		return d
	}
	for _, n := range nodes {
		of(n.Address, nil)
	}
	return depth
}

func (s *Server) resources(w http.ResponseWriter, r *http.Request) {
	g, err := s.source.Resources(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	s.render(w, http.StatusOK, "resources.html", "Resources", draw(g))
}

type resourcePage struct {
	Node    Node
	History []Entry
}

func (s *Server) resource(w http.ResponseWriter, r *http.Request) {
	address := r.PathValue("address")
	g, err := s.source.Resources(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	i := slices.IndexFunc(g.Nodes, func(n Node) bool { return strings.EqualFold(n.Address, address) })
	if i < 0 {
		s.fail(w, fault.New(fault.NotFound, "there is no resource %q", address))
		return
	}
	history, err := s.source.History(r.Context(), address)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.render(w, http.StatusOK, "resource.html", g.Nodes[i].Address, resourcePage{g.Nodes[i], history})
}
