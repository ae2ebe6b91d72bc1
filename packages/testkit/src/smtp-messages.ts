/** What the mail server's process is told. */
export interface SmtpOrders {
  /** Status code for every recipient from now on; 250 accepts. */
  readonly recipients: number;
}

/** What it tells. */
export type SmtpNews =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'mail'; readonly raw: string; readonly to: readonly string[] }
  | { readonly kind: 'refused'; readonly to: string };

/** How it is started: the first argument, as JSON. */
export interface SmtpStart {
  /** 0 lets the system choose. */
  readonly port: number;
  /** Who may send; nobody has to say who they are without it. */
  readonly login?: { readonly user: string; readonly password: string } | undefined;
}
