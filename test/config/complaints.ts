import { loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/errors.ts';

/** One line for each complaint, as `havrrp check` prints it. */
export function printed({ complaints }: ConfigError): string[] {
  return complaints.map(({ where, what, fix }) =>
    [where, what, fix].filter((part) => part !== undefined).join(': '),
  );
}

/** What is said about a text; an empty list where it is a configuration. Any other error is thrown on. */
export function complaintsOf(text: string): string[] {
  try {
    loadConfig(text, 'f');
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return printed(error);
    throw error;
  }
}

/** A file with one instance, `interface: eth0, vrid: 61`, on line 5 from column 7 on; `rest` follows on the same line. */
export function oneInstance(rest: string, group: string = 'priority: 150'): string {
  return `groups:\n  edge:\n    ${group}\n    instances:\n      wan: { interface: eth0, vrid: 61, ${rest} }\n`;
}
