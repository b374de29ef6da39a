package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgeua/edgeua/drivers/taglist"
	"github.com/edgeua/edgeua/internal/xmltree"
)

func newTags() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tags",
		Short: "Turn the tags of a device into a spreadsheet, and back",
		Long: `A device in edgeua.xml may have its tags in a CSV file: <TagFile>boiler.csv</TagFile>. These
commands turn such a file into the XML of edgeua.xml and the other way round; nothing is
lost on the way. What was wrong stands on the standard error output with file, line and
column, and then nothing is written.`,
		Example: `  edgeua tags export edgeua.xml --device Boiler > boiler.csv
  edgeua tags import boiler.csv > boiler.xml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTagsImport(), newTagsExport())
	return cmd
}

func newTagsImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import CSV",
		Short: "Write the tags of a CSV file as XML for a <Device>",
		Long: "Reads a CSV file in UTF-8, separated by commas, semicolons or tabs as its first row says, and\n" +
			"writes <Group> and <Tag> elements. With semicolons, numbers may have a decimal comma.\n" +
			"What the values mean is checked where they are used: by edgeua check.\n\n" + columnHelp(),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &xmltree.Report{}
			groups := taglist.Load(r, args[0])
			if err := listed(cmd, r); err != nil {
				return err
			}
			return taglist.WriteXML(cmd.OutOrStdout(), groups)
		},
	}
}

// columnHelp lists the columns for the help text, from the table that the files are read with.
func columnHelp() string {
	var b strings.Builder
	b.WriteString("Columns, in any order:\n")
	for _, c := range taglist.Columns() {
		line := fmt.Sprintf("  %-19s %s", c.Name, strings.ReplaceAll(c.Meaning, "`", ""))
		if len(c.Aliases) > 0 {
			line += " (also " + strings.Join(c.Aliases, ", ") + ")"
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

func newTagsExport() *cobra.Command {
	var device, separator string
	var spreadsheet bool
	cmd := &cobra.Command{
		Use:   "export EDGEUA.XML",
		Short: "Write the tags of a device as CSV",
		Long: `Reads edgeua.xml, with the CSV files that it names, and writes the tags of one device as CSV.
With --separator ';' numbers get a decimal comma, as a spreadsheet expects where it
separates so.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			comma, ok := map[string]rune{",": ',', ";": ';', "tab": '\t', "\t": '\t'}[separator]
			if !ok {
				return &configError{fmt.Errorf("separator %s is not one of , ; tab", xmltree.Quote(separator))}
			}
			root, err := xmltree.Load(args[0], xmltree.Limits{})
			if err != nil {
				return &configError{err}
			}
			d, err := deviceElement(root, device)
			if err != nil {
				return &configError{err}
			}
			r := &xmltree.Report{}
			taglist.Expand(r, d)
			if err := listed(cmd, r); err != nil {
				return err
			}
			if len(d.All("Group")) == 0 {
				return &configError{fmt.Errorf("%s:%d: the device has no groups of tags; instruments on Serial and SerialTcp have their values in messages", args[0], d.Line)}
			}
			err = taglist.WriteCSV(cmd.OutOrStdout(), r, d.All("Group"), taglist.Format{Separator: comma, Spreadsheet: spreadsheet})
			if refused := listed(cmd, r); refused != nil {
				return refused
			}
			return err
		},
	}
	cmd.Flags().StringVar(&device, "device", "", "`NAME` of the device (may be left out if there is only one)")
	cmd.Flags().StringVar(&separator, "separator", ",", "what stands between values: , ; or tab")
	cmd.Flags().BoolVar(&spreadsheet, "spreadsheet", false, "with byte order mark and carriage returns")
	return cmd
}

// deviceElement finds the device of that name, or the only one.
func deviceElement(root *xmltree.Element, name string) (*xmltree.Element, error) {
	var names []string
	devices := root.All("Device")
	for _, d := range devices {
		n, _ := d.Attr("Name")
		if c := d.Child("Name"); c != nil {
			n = strings.TrimSpace(c.Text)
		}
		if n == name || name == "" && len(devices) == 1 {
			return d, nil
		}
		names = append(names, n)
	}
	switch {
	case len(devices) == 0:
		return nil, fmt.Errorf("%s: there is no <Device> in <%s>", root.File(), root.Name)
	case name == "":
		return nil, fmt.Errorf("%s: there are several devices; choose one with --device: %s", root.File(), strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%s: there is no device %s; there are %s%s", root.File(), xmltree.Quote(name), strings.Join(names, ", "), xmltree.Suggest(name, names))
}

// listed prints what was found, once, and refuses if there are errors.
func listed(cmd *cobra.Command, r *xmltree.Report) error {
	r.Sort()
	if _, err := r.WriteTo(cmd.ErrOrStderr()); err != nil {
		return err
	}
	refused := r.HasErrors()
	r.Problems = nil
	if refused {
		return &configError{errors.New("the list of tags has errors; nothing was written")}
	}
	return nil
}
