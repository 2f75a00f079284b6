// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"
)

// picture draws a run: from left to right the virtual time, a lane for each broker. In a lane stand
// what the broker leads, a line per group in the group's colour; below it what was done to the broker; and
// gaps where it was down. Above all lanes: records acknowledged.
//
// It is drawn from the lines of the trace, so it shows what they say.
type picture struct {
	lanes  []*lane
	acked  []float64 // times
	marks  []mark    // of the whole world
	end    float64
	failed string
}

type lane struct {
	downs []span          // to is below 0 while it lasts
	leads map[int]float64 // group: since when
	spans []span          // of leading
	open  map[string]span // faults under way
	hit   []span          // faults that ended
	marks []mark
}

// span is a part of a lane, in seconds.
type span struct {
	from, to float64
	group    int
	text     string
}

type mark struct {
	at   float64
	text string
}

// line takes one line of a trace.
func (p *picture) line(text string) {
	head, rest, _ := strings.Cut(strings.TrimLeft(text, " "), "  ")
	at, err := strconv.ParseFloat(head, 64)
	if err != nil {
		return // a further line of a longer text
	}
	p.end = max(p.end, at)
	column, what, _ := strings.Cut(rest, "  ")
	switch {
	case strings.HasPrefix(rest, "FAIL"):
		p.failed = strings.TrimSpace(strings.TrimPrefix(rest, "FAIL"))
		p.marks = append(p.marks, mark{at, rest})
	case rest == "all faults end":
		p.marks = append(p.marks, mark{at, rest})
	case strings.HasPrefix(column, "client") && strings.Contains(what, " produce ok "):
		p.acked = append(p.acked, at)
	case strings.HasPrefix(column, "* "):
		for i := range strings.Count(column, "*") {
			p.lane(i).line(at, what)
		}
	case strings.HasPrefix(column, "."), column != "" && column[0] >= '1' && column[0] <= '9':
		p.lane(strings.Count(column[:strings.IndexAny(column, "123456789")], ".")).line(at, what)
	}
}

func (p *picture) lane(i int) *lane {
	for len(p.lanes) <= i {
		p.lanes = append(p.lanes, &lane{leads: make(map[int]float64), open: make(map[string]span)})
	}
	return p.lanes[i]
}

// line takes what happened to a broker.
func (l *lane) line(at float64, what string) {
	word, rest, _ := strings.Cut(what, " ")
	switch word {
	case "recovered,":
		if n := len(l.downs); n > 0 && l.downs[n-1].to < 0 {
			l.downs[n-1].to = at
		} else if n == 0 && at > 0 {
			l.downs = append(l.downs, span{0, at, 0, "not there yet"})
		}
		l.marks = append(l.marks, mark{at, what})
	case "crash":
		l.dead(at, what)
	case "FATAL":
		l.marks = append(l.marks, mark{at, what})
	case "fault":
		l.fault(at, rest)
	case "event":
		l.event(at, rest)
	}
}

func (l *lane) dead(at float64, why string) {
	for g := range l.leads {
		l.deposed(at, g)
	}
	l.downs = append(l.downs, span{at, -1, 0, why})
}

func (l *lane) deposed(at float64, group int) {
	if from, ok := l.leads[group]; ok {
		l.spans = append(l.spans, span{from, at, group, fmt.Sprintf("leads group %d", group)})
		delete(l.leads, group)
	}
}

// fault takes "ID KIND begins" or "ends".
func (l *lane) fault(at float64, text string) {
	id, rest, _ := strings.Cut(text, " ")
	kind, what, _ := strings.Cut(rest, " ")
	if what == "ends" {
		if s, ok := l.open[id]; ok {
			s.to = at
			l.hit = append(l.hit, s)
			delete(l.open, id)
		}
		return
	}
	l.open[id] = span{at, at, 0, "fault " + id + " " + kind}
}

func (l *lane) event(at float64, text string) {
	name, rest, found := strings.Cut(text, " group=")
	if !found {
		return
	}
	number, _, _ := strings.Cut(rest, " ")
	group, err := strconv.Atoi(number)
	if err != nil {
		return
	}
	switch name {
	case "became leader":
		l.leads[group] = at
	case "lost leadership":
		l.deposed(at, group)
	}
}

// finish ends what is still going on.
func (p *picture) finish() {
	for _, l := range p.lanes {
		for g := range l.leads {
			l.deposed(p.end, g)
		}
		for _, s := range l.open {
			l.hit = append(l.hit, s)
		}
		for i := range l.downs {
			if l.downs[i].to < 0 {
				l.downs[i].to = p.end
			}
		}
	}
}

// Sizes in pixels.
const (
	pictureWidth = 1200
	left, right  = 60, 20
	top          = 90 // above the lanes
	laneHeight   = 56
	leadHeight   = 34 // of a lane: the groups that it leads; the rest is for faults
	groupLines   = 8
	bins         = 300 // of the curve of acknowledged records
)

// colours of groups.
var colours = []string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22"}

// svg draws the picture. Whoever points at something in it is told what that is.
func (p *picture) svg(to io.Writer, title string) error {
	p.finish()
	out := bufio.NewWriter(to)
	height := top + laneHeight*len(p.lanes) + 40
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", pictureWidth, height)
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="18" font-size="14">%s</text>`+"\n", left, html.EscapeString(title))
	if p.failed != "" {
		fmt.Fprintf(out, `<text x="%d" y="36" fill="#c00">%s</text>`+"\n", left, html.EscapeString(cut(p.failed, 180)))
	}
	fmt.Fprintf(out, `<text x="%d" y="18" text-anchor="end" fill="#555">a colour per raft group: leads it; orange: a fault; grey: down; blue line: all faults end</text>`+"\n", pictureWidth-right)
	p.drawAcked(out)
	for i, l := range p.lanes {
		p.drawLane(out, i, l)
	}
	p.drawAxis(out, height)
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// save writes the picture into a file.
func (p *picture) save(file, title string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(p.svg(f, title), f.Close())
}

func (p *picture) x(at float64) float64 {
	return left + (pictureWidth-left-right)*at/max(p.end, 1e-9)
}

// box draws a rectangle that says what it is.
func (p *picture) box(out io.Writer, s span, y, height float64, style string) {
	fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" %s><title>%s, %.6f s to %.6f s</title></rect>`+"\n",
		p.x(s.from), y, max(p.x(s.to)-p.x(s.from), 1.5), height, style, html.EscapeString(s.text), s.from, s.to)
}

func (p *picture) drawLane(out io.Writer, i int, l *lane) {
	y := float64(top + i*laneHeight)
	fmt.Fprintf(out, `<text x="8" y="%.0f">broker %d</text><rect x="%d" y="%.0f" width="%d" height="%d" fill="#f3f5f7"/>`+"\n",
		y+22, i+1, left, y, pictureWidth-left-right, laneHeight-6)
	for _, s := range l.spans {
		p.box(out, s, y+float64(s.group%groupLines)*leadHeight/groupLines, leadHeight/groupLines, fmt.Sprintf(`fill="%s"`, colours[s.group%len(colours)]))
	}
	for _, s := range l.hit {
		p.box(out, s, y+leadHeight+2, laneHeight-leadHeight-10, `fill="#f0a020" fill-opacity="0.45"`)
	}
	for _, s := range l.downs {
		p.box(out, s, y, laneHeight-6, `fill="#555"`)
	}
	for _, m := range l.marks {
		fmt.Fprintf(out, `<line x1="%.1f" x2="%.1[1]f" y1="%.1f" y2="%.1f" stroke="#000"><title>%s, %.6f s</title></line>`+"\n",
			p.x(m.at), y, y+laneHeight-6, html.EscapeString(cut(m.text, 200)), m.at)
	}
}

// drawAcked draws how many produce calls were acknowledged, over the time.
func (p *picture) drawAcked(out io.Writer) {
	var count [bins + 1]int
	most := 1
	for _, at := range p.acked {
		b := int(at / max(p.end, 1e-9) * bins)
		count[b]++
		most = max(most, count[b])
	}
	fmt.Fprintf(out, `<text x="8" y="%d">acked</text><polyline fill="none" stroke="#2a7" points="`, top-12)
	for b, n := range count {
		fmt.Fprintf(out, "%.1f,%.1f ", p.x(p.end*float64(b)/bins), float64(top-8)-36*float64(n)/float64(most))
	}
	fmt.Fprintf(out, `"><title>calls to produce that were acknowledged: %d</title></polyline>`+"\n", len(p.acked))
}

func (p *picture) drawAxis(out io.Writer, height int) {
	step := 0.001
	for factor := 0; p.end/step > 15; factor++ {
		step *= []float64{2, 2.5, 2}[factor%3]
	}
	for at := 0.0; at <= p.end; at += step {
		fmt.Fprintf(out, `<line x1="%.1f" x2="%.1[1]f" y1="%d" y2="%d" stroke="#ccc" stroke-dasharray="2,3"/><text x="%.1[1]f" y="%[4]d" text-anchor="middle">%[5]s s</text>`+"\n",
			p.x(at), top, height-34, height-18, strconv.FormatFloat(at, 'g', 6, 64))
	}
	for _, m := range p.marks {
		colour := "#06c"
		if strings.HasPrefix(m.text, "FAIL") {
			colour = "#c00"
		}
		fmt.Fprintf(out, `<line x1="%.1f" x2="%.1[1]f" y1="%d" y2="%d" stroke="%s" stroke-width="2"><title>%s, %.6f s</title></line>`+"\n",
			p.x(m.at), top-44, height-34, colour, html.EscapeString(cut(m.text, 200)), m.at)
	}
}

// cut shortens a text.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}
