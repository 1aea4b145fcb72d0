/** What a document that we write says of a section that has nothing, or not all; our reader makes no note of the first two. */
export const leftOut = 'Not included, by the patient’s selection.'
export const nothingKnown = 'No information.'
export const selectionNote = 'This section holds what the patient chose to share; there may be more.'
