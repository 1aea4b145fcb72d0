/** Whether the corpus is beside the project. */
export declare const present: boolean
