import { graphql } from "react-relay";

// Relay removes what a mutation took away by the id in its payload.
graphql`
  mutation disconnectAccountMutation($input: DisconnectAccountInput!, $connections: [ID!]!) {
    disconnectAccount(input: $input) {
      disconnectedAccountId @deleteRecord @deleteEdge(connections: $connections)
      userErrors {
        code
        message
      }
      query {
        accountsSummary {
          totalAccounts
        }
      }
    }
  }
`;
