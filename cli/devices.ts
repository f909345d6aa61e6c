/** `troupe devices`: what this machine offers, measured. */
import type { Command } from 'commander';
import { deviceFacts } from '../workflows/device-facts.ts';
import { fixed, megabytes, table } from './output.ts';
import { withSession, type Common } from './session.ts';

export function addDevices(program: Command): void {
  program
    .command('devices')
    .description('the devices models can run on here, what each offers, and how fast it multiplies and copies')
    .option('--no-measure', 'list only')
    .option('--workspace <folder>', 'workspace')
    .option('--json', 'one JSON object a line')
    .action((options: Common & { measure: boolean }) =>
      withSession(options, {}, async ({ controller, output }) => {
        const chosen = await controller.device();
        const reports = await controller.devices(options.measure);
        const rows = reports.map((report) => [
          report.kind === chosen.kind ? `${report.kind} *` : report.kind,
          report.available ? report.name : 'not available',
          report.gflops === null ? '–' : fixed(report.gflops, 1),
          report.gigabytesPerSecond === null ? '–' : fixed(report.gigabytesPerSecond, 1),
          report.maxBufferBytes === null ? '–' : megabytes(report.maxBufferBytes),
          report.available ? deviceFacts(report).join(', ') || '–' : report.note,
        ]);
        output.say(table([['device', 'name', 'GFLOP/s', 'GB/s', 'largest buffer', 'offers'], ...rows]));
        if (options.measure)
          for (const { kind, available, note } of reports) if (available) output.say(`${kind}: ${note}`);
        output.say(`\n* taken: ${chosen.name}. ${chosen.reason}`);
        output.emit({ event: 'devices', chosen, devices: reports });
        return 0;
      }),
    );
}
