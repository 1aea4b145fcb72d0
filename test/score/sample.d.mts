export declare const sample: string
export declare const sampleCcr: string
