package spool

import "strings"

// Fields takes a line of comma-separated values apart. A quote inside a value is
// written twice, or, by those who do not care, once: it ends the value only in
// front of a comma or the end. open says that the line ends inside a quoted value,
// which then goes on in the next line.
func Fields(line string) (fields []string, open bool) {
	line = strings.TrimRight(line, "\r\n")
	for {
		if !strings.HasPrefix(line, `"`) {
			value, rest, more := strings.Cut(line, ",")
			fields = append(fields, value)
			if !more {
				return fields, false
			}
			line = rest
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(line); i++ {
			if line[i] != '"' {
				b.WriteByte(line[i])
				continue
			}
			if i+1 < len(line) && line[i+1] == '"' {
				b.WriteByte('"')
				i++
				continue
			}
			if i+1 == len(line) || line[i+1] == ',' {
				break
			}
			b.WriteByte('"')
		}
		fields = append(fields, b.String())
		if i >= len(line) {
			return fields, true
		}
		if i+1 == len(line) {
			return fields, false
		}
		line = line[i+2:]
	}
}
