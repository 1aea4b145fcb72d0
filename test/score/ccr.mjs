export const ccrFacts = () => []
export const ccrSafety = () => []
export const ccrConservation = () => []
