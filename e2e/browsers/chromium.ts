import { chromium, type Browser, type LaunchOptions } from 'playwright-core'

/** Debian's Chromium, talking to nobody unasked. */
export const CHROMIUM: LaunchOptions = {
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

/** With a profile of its own that goes with it. */
export function launchChromium(): Promise<Browser> {
  return chromium.launch(CHROMIUM)
}
