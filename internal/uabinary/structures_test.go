package uabinary

// structurePair makes one generated type, and gopcua's of the same name.
type structurePair struct {
	ours   func() Structure
	theirs func() any
}
